namespace FastKron.Native.Evaluation;

/// <summary>The draws of Python's <c>random.Random(seed).randint</c>: published C4 perplexities chose their text with them.</summary>
/// <remarks>MT19937, seeded by an array of one key. Source: Matsumoto, Nishimura, "Mersenne twister", ACM TOMACS 8 (1998).</remarks>
internal sealed class PythonRandom
{
    private const int Size = 624, Shift = 397;

    private readonly uint[] _state = new uint[Size];
    private int _next = Size;

    public PythonRandom(uint seed)
    {
        _state[0] = 19650218;
        for (int i = 1; i < Size; i++)
            _state[i] = 1812433253 * (_state[i - 1] ^ (_state[i - 1] >> 30)) + (uint)i;
        int at = 1;
        for (int round = 0; round < Size; round++)
            at = Mix(at, 1664525, seed);
        for (int round = 1; round < Size; round++)
            at = Mix(at, 1566083941, (uint)-at);
        _state[0] = 0x80000000;
    }

    /// <summary>The next 32 random bits.</summary>
    public uint Next()
    {
        if (_next == Size)
            Twist();
        uint y = _state[_next++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C5680;
        y ^= (y << 15) & 0xEFC60000;
        return y ^ (y >> 18);
    }

    /// <summary>A whole number from <paramref name="first"/> to <paramref name="last"/>, both included: as few of the upper bits as can hold it, drawn until they do.</summary>
    public int Between(int first, int last)
    {
        uint count = (uint)(last - first) + 1;
        int unused = System.Numerics.BitOperations.LeadingZeroCount(count);
        uint drawn;
        do
            drawn = Next() >> unused;
        while (drawn >= count);
        return first + (int)drawn;
    }

    private int Mix(int at, uint factor, uint added)
    {
        _state[at] = (_state[at] ^ ((_state[at - 1] ^ (_state[at - 1] >> 30)) * factor)) + added;
        if (at + 1 < Size)
            return at + 1;
        _state[0] = _state[Size - 1];
        return 1;
    }

    private void Twist()
    {
        for (int i = 0; i < Size; i++)
        {
            uint y = (_state[i] & 0x80000000) | (_state[(i + 1) % Size] & 0x7FFFFFFF);
            _state[i] = _state[(i + Shift) % Size] ^ (y >> 1) ^ ((y & 1) * 0x9908B0DF);
        }
        _next = 0;
    }
}
