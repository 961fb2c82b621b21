using System.Numerics;
using FastKron.Native.Compute;

namespace FastKron.Native.Incoherence;

/// <summary>The Hadamard matrix for every supported size.</summary>
/// <remarks>The rule is that of QTIP's checkpoints (arXiv:2406.11235) where those have the size; base orders 44, 68, 76, 100 and 148 are added.</remarks>
public static class HadamardFactors
{
    private static readonly int[] Orders = [.. HadamardTables.PublishedOrders, .. HadamardTables.ExtensionOrders];

    /// <summary>The factorisation of a size: the first base order K of the list for which size/K is a power of two, else 1.</summary>
    /// <param name="size">Elements of the transformed axis.</param>
    /// <exception cref="NotSupportedException">No table fits; the message names the orders that exist.</exception>
    public static HadamardFactor For(int size)
    {
        int order = BaseOrder(size);
        if (order == 0)
            throw new NotSupportedException($"Hadamard transform of {size} elements: {Unsupported(size)}");
        return new HadamardFactor(order, order == 1 ? new sbyte[] { 1 } : HadamardTables.Signs(order), size / order);
    }

    /// <summary>Whether <see cref="For"/> has a matrix of this size.</summary>
    public static bool Supports(int size) => BaseOrder(size) != 0;

    /// <summary>Why a size has no matrix, and what exists, in words.</summary>
    internal static string Unsupported(int size) =>
        $"{size} is not 2^p times 1 or one of the table orders {string.Join(", ", Orders.Order())}";

    private static int BaseOrder(int size)
    {
        if (size <= 0)
            return 0;
        foreach (int order in Orders)
        {
            if (size % order == 0 && BitOperations.IsPow2(size / order))
                return order;
        }
        return BitOperations.IsPow2(size) ? 1 : 0;
    }
}
