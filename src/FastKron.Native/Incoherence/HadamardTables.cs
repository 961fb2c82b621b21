using System.Collections.Concurrent;
using FastKron.Native.Compute;

namespace FastKron.Native.Incoherence;

/// <summary>Hadamard matrices whose order is no power of two, made from formulas: Paley's two constructions (<see cref="PaleyMatrix"/>) and Williamson's.</summary>
/// <remarks>Entries are ±1, rows orthogonal. Source: Williamson 1944; the circulants are those of Sloane's catalogue (Had.52, 116, 124, 156, 172).</remarks>
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
        12 or 20 or 44 or 60 or 68 or 108 or 140 => PaleyMatrix.First(order),
        28 or 36 or 76 or 100 or 148 => PaleyMatrix.Second(order),
        52 or 116 or 124 or 156 or 172 => FromCirculants(order),
        _ => throw new NotSupportedException(
            $"Hadamard matrix of order {order}: there are tables of order {string.Join(", ", PublishedOrders.Concat(ExtensionOrders).Order())}"),
    };

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
}
