using System.Collections.Concurrent;

namespace FastKron.Native.Incoherence;

/// <summary>Hadamard matrices whose order is no power of two, made from formulas: Paley's two constructions and Williamson's.</summary>
/// <remarks>Entries are ±1, rows orthogonal. Sources: Paley 1933; Williamson 1944; the circulants are those of Sloane's catalogue (Had.52, 116, 124, 156, 172).</remarks>
public static class HadamardTables
{
    // The four circulants A, B, C, D of Williamson's array, as first rows.
    private static readonly (int Order, string A, string B, string C, string D)[] Williamson =
    [
        (52, "+-+--++++--+-", "+---++++++---", "++-+--++--+-+", "+----+--+----"),
        (116, "++--+--+-+++-++++-+++-+--+--+", "++++-++-+---++++++---+-++-+++", "+-+---++--+-++++++-+--++---+-", "+++---++--+-+----+-+--++---++"),
        (124, "+--+++-+--+----++----+--+-+++--", "+--+++-+--+----++----+--+-+++--", "+-----+++-+-+--++--+-+-+++-----", "++++++---+-+-++--++-+-+---+++++"),
        (156, "+++--+-+-----+--++----++--+-----+-+--++", "++++---+--++----+-+--+-+----++--+---+++",
            "+++--++-+---+-+--+----+--+-+---+-++--++", "+---++-+-+-----+++-++-+++-----+-+-++---"),
        (172, "+---++--++++-+-+++-++--++-+++-+-++++--++---", "++-++++++----+-+--++-++-++--+-+----++++++-+",
            "+++-+-++--+-+-++++-+----+-++++-+-+--++-+-++", "++---++++-+--+--++--------++--+--+-++++---+"),
    ];

    private static readonly ConcurrentDictionary<int, sbyte[]> Made = new();

    /// <summary>Orders of QTIP's checkpoints, in the order in which a size tries them.</summary>
    public static IReadOnlyList<int> PublishedOrders { get; } = [172, 156, 140, 124, 116, 108, 60, 52, 36, 28, 20, 12];

    /// <summary>Orders that QTIP's reader does not know, tried after the published ones.</summary>
    public static IReadOnlyList<int> ExtensionOrders { get; } = [148, 100, 76, 68, 44];

    /// <summary>The matrix of one order, row-major; made on first use and kept.</summary>
    /// <exception cref="NotSupportedException">No matrix of this order.</exception>
    public static ReadOnlyMemory<sbyte> Signs(int order) => Made.GetOrAdd(order, Make);

    private static sbyte[] Make(int order) => order switch
    {
        12 or 20 or 44 or 60 or 68 or 108 or 140 => PaleyOne(Field.Prime(order - 1)),
        28 or 36 or 76 or 148 => PaleyTwo(Field.Prime(order / 2 - 1)),
        100 => PaleyTwo(Field.SquareOf(7)),
        52 or 116 or 124 or 156 or 172 => FromCirculants(order),
        _ => throw new NotSupportedException(
            $"Hadamard matrix of order {order}: there are tables of order {string.Join(", ", PublishedOrders.Concat(ExtensionOrders).Order())}"),
    };

    // q ≡ 3 (mod 4): the bordered matrix of χ(i − j), diagonal +1, first row −1 but for its head.
    private static sbyte[] PaleyOne(Field field)
    {
        int order = field.Size + 1;
        var signs = new sbyte[order * order];
        for (int i = 0; i < order; i++)
        {
            for (int j = 0; j < order; j++)
                signs[i * order + j] = i == j || j == 0 ? (sbyte)1 : i == 0 ? (sbyte)-1 : field.Character(i - 1, j - 1);
        }
        return signs;
    }

    // q ≡ 1 (mod 4): S symmetric with zero diagonal; [[S + I, S − I], [S − I, −S − I]].
    private static sbyte[] PaleyTwo(Field field)
    {
        int half = field.Size + 1, order = 2 * half;
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

    // [[A, B, C, D], [−B, A, −D, C], [−C, D, A, −B], [−D, −C, B, A]] of symmetric circulants.
    private static sbyte[] FromCirculants(int order)
    {
        var (_, a, b, c, d) = Array.Find(Williamson, w => w.Order == order);
        (string Row, int Sign)[,] blocks =
        {
            { (a, 1), (b, 1), (c, 1), (d, 1) },
            { (b, -1), (a, 1), (d, -1), (c, 1) },
            { (c, -1), (d, 1), (a, 1), (b, -1) },
            { (d, -1), (c, -1), (b, 1), (a, 1) },
        };
        int size = order / 4;
        var signs = new sbyte[order * order];
        for (int i = 0; i < order; i++)
        {
            for (int j = 0; j < order; j++)
            {
                var (row, sign) = blocks[i / size, j / size];
                signs[i * order + j] = (sbyte)(row[(j % size - i % size + size) % size] == '+' ? sign : -sign);
            }
        }
        return signs;
    }

    // A finite field's elements 0 … Size−1 with the quadratic character χ of a difference.
    private sealed class Field
    {
        private readonly int _prime;
        private readonly bool[] _isSquare;

        private Field(int prime, int size)
        {
            (_prime, Size) = (prime, size);
            _isSquare = new bool[size];
            for (int x = 1; x < size; x++)
                _isSquare[Square(x)] = true;
        }

        public int Size { get; }

        public static Field Prime(int q) => new(q, q);

        /// <summary>GF(p²) = GF(p)[i] for p ≡ 3 (mod 4): element a + b·i has number p·a + b.</summary>
        public static Field SquareOf(int p) => new(p, p * p);

        /// <summary>χ(x − y): 0 for equal elements, 1 for a square difference, −1 otherwise.</summary>
        public sbyte Character(int x, int y)
        {
            if (x == y)
                return 0;
            int difference = Size == _prime
                ? Modulo(x - y)
                : _prime * Modulo(x / _prime - y / _prime) + Modulo(x % _prime - y % _prime);
            return _isSquare[difference] ? (sbyte)1 : (sbyte)-1;
        }

        private int Square(int x)
        {
            if (Size == _prime)
                return x * x % _prime;
            int a = x / _prime, b = x % _prime;
            return _prime * Modulo(a * a - b * b) + Modulo(2 * a * b);
        }

        private int Modulo(int value) => (value % _prime + _prime) % _prime;
    }
}
