namespace FastKron.Native.Compute;

/// <summary>Paley's two constructions of Hadamard matrices from the quadratic character χ of a finite field with q elements.</summary>
/// <remarks>Entries are ±1, rows orthogonal, row-major. Source: Paley, On orthogonal matrices, 1933. kernels/device/paley.cuh has the same matrices.</remarks>
public static class PaleyMatrix
{
    /// <summary>The first construction, q = order − 1 ≡ 3 (mod 4): the bordered matrix of χ(i − j), diagonal +1, first row −1 but for its head.</summary>
    /// <param name="order">q + 1.</param>
    /// <exception cref="ArgumentException">q is neither a prime nor a prime's square, or not 3 modulo 4.</exception>
    public static sbyte[] First(int order)
    {
        Field field = new(order - 1, residue: 3);
        var signs = new sbyte[order * order];
        for (int i = 0; i < order; i++)
        {
            for (int j = 0; j < order; j++)
                signs[i * order + j] = i == j || j == 0 ? (sbyte)1 : i == 0 ? (sbyte)-1 : field.Character(i - 1, j - 1);
        }
        return signs;
    }

    /// <summary>The second construction, q = order/2 − 1 ≡ 1 (mod 4): [[S + I, S − I], [S − I, −S − I]], S the bordered symmetric matrix of χ(i − j).</summary>
    /// <param name="order">2 (q + 1).</param>
    /// <exception cref="ArgumentException">q is neither a prime nor a prime's square, or not 1 modulo 4.</exception>
    public static sbyte[] Second(int order)
    {
        int half = order / 2;
        Field field = new(half - 1, residue: 1);
        var signs = new sbyte[order * order];
        for (int i = 0; i < order; i++)
        {
            for (int j = 0; j < order; j++)
            {
                int r = i % half, c = j % half;
                int s = r == c ? 0 : r == 0 || c == 0 ? 1 : field.Character(r - 1, c - 1);
                bool lowerRight = i >= half && j >= half, upperLeft = i < half && j < half;
                signs[i * order + j] = (sbyte)((lowerRight ? -s : s) + (r != c ? 0 : upperLeft ? 1 : -1));
            }
        }
        return signs;
    }

    // The elements 0 … q−1 of GF(p), or of GF(p²) = GF(p)[i] for p ≡ 3 (mod 4): there a + b·i has number p·a + b.
    private sealed class Field
    {
        private readonly int _size, _prime;
        private readonly bool[] _isSquare;

        public Field(int size, int residue)
        {
            int root = (int)Math.Sqrt(Math.Max(size, 0));
            bool square = root * root == size && root % 4 == 3;
            (_size, _prime) = (size, square ? root : size);
            if (size % 4 != residue || !IsPrime(_prime))
                throw new ArgumentException($"Paley matrix from a field of {size} elements: expected a prime or the square of a prime 3 modulo 4, and {residue} modulo 4");
            _isSquare = new bool[size];
            for (int x = 1; x < size; x++)
                _isSquare[Square(x)] = true;
        }

        /// <summary>χ(x − y): 0 for equal elements, 1 for a square difference, −1 otherwise.</summary>
        public sbyte Character(int x, int y)
        {
            if (x == y)
                return 0;
            int difference = _size == _prime
                ? Modulo(x - y)
                : _prime * Modulo(x / _prime - y / _prime) + Modulo(x % _prime - y % _prime);
            return _isSquare[difference] ? (sbyte)1 : (sbyte)-1;
        }

        private int Square(int x)
        {
            if (_size == _prime)
                return x * x % _prime;
            int a = x / _prime, b = x % _prime;
            return _prime * Modulo(a * a - b * b) + Modulo(2 * a * b);
        }

        private int Modulo(int value) => (value % _prime + _prime) % _prime;

        private static bool IsPrime(int value)
        {
            for (int divisor = 2; divisor * divisor <= value; divisor++)
            {
                if (value % divisor == 0)
                    return false;
            }
            return value > 1;
        }
    }
}
