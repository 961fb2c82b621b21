using System.Collections.Concurrent;
using System.Numerics;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// kernels/hadamard_unrolled.cu: one pass for the base orders whose matrices its kernels know, where addresses are multiples of 16 bytes.
public sealed partial class GpuBackend
{
    private const int UnrolledThreads = 256, UnrolledRoundBits = 3, UnrolledClusterBits = 3;

    /// <summary>Bytes of a tile: about as many, of short rows; up to which half the threads do; at most, of columns, so that two blocks share a multiprocessor.</summary>
    private const int UnrolledRowBytes = 16 << 10, UnrolledSmallBytes = 24 << 10, UnrolledTileBytes = 112 << 10;

    /// <summary>Bytes of the columns of a tile: as many as fit of these, for memory gives whole lines of 128 best.</summary>
    private static readonly int[] UnrolledWidths = [128, 64, 32];

    // Base orders with kernels, and the bits of the power of two that a thread transforms together with the base, of F32 and F64.
    private static readonly (int Order, int Bits32, int Bits64)[] UnrolledOrders = [(1, 5, 4), (12, 1, 0), (20, 1, 0), (28, 0, 0), (36, 0, 0)];

    // Whether signs are those of the kernels, Paley's.
    private static readonly ConcurrentDictionary<ReadOnlyMemory<sbyte>, bool> PaleySigns = new();

    /// <summary>Does the transform in one pass; false if there is no kernel for it.</summary>
    private bool TryUnrolledHadamard(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse)
    {
        int index = Array.FindIndex(UnrolledOrders, entry => entry.Order == factor.BaseOrder);
        if (index < 0 || !HasPaleySigns(factor))
            return false;
        (int order, int bits32, int bits64) = UnrolledOrders[index];
        bool rows = axis == HadamardAxis.Rows, single = x.Type == DType.F32;
        int bits = single ? bits32 : bits64, line = factor.PowerOfTwo >> bits, element = x.Type.Size(), size = factor.Size;
        if (line == 0 || (rows && line * element < PackBytes))
            return false;
        var pass = new UnrolledPass
        {
            X = x.Address,
            Scale = scale?.Address ?? 0,
            AxisStride = rows ? 1 : (nuint)x.Stride,
            SideStride = rows ? (nuint)x.Stride : 1,
            Limit = rows ? x.Rows : x.Columns,
            LineBits = BitOperations.Log2((uint)line),
            ScaleAfter = inverse ? 1 : 0,
            Norm = single ? 1 / MathF.Sqrt(size) : 1 / Math.Sqrt(size),
        };
        int lines = order << bits;
        UnrolledPass? tiled = rows
            ? Tiled(pass, lines, element, vectors: Math.Clamp(UnrolledRowBytes / (size * element), 1, x.Rows), widthBytes: 0, clusterBits: 0, _sharedBytes)
            : ColumnTiles(pass, lines, element);
        if (tiled is not { } last)
            return false;

        // The matrices of Paley's second construction and Sylvester's are symmetric.
        string transposed = inverse && order is 12 or 20 ? "_transposed" : "", suffix = single ? "f32" : "f64";
        int tiles = Ceiling(last.Limit, last.Sides), vectors = rows ? last.Sides : 1, bytes = vectors * lines * last.Pitch * PackBytes;
        dim3 grid = checked((int)((long)tiles << last.ClusterBits)), block = bytes > UnrolledSmallBytes ? UnrolledThreads : UnrolledThreads / 2;
        Kernel("hadamard_unrolled", $"hadamard_{order}{transposed}_{suffix}").Launch(_stream, grid, block, last, (uint)bytes, 1 << last.ClusterBits);
        return true;
    }

    private UnrolledPass? ColumnTiles(UnrolledPass pass, int lines, int element)
    {
        int most = _images.HasWarpgroups ? UnrolledClusterBits : 0;
        foreach (int width in UnrolledWidths)
        {
            for (int bits = 0; bits <= most; bits++)
            {
                if (Tiled(pass, lines, element, vectors: 1, width, bits, Math.Min(UnrolledTileBytes, _sharedBytes)) is { } tiled)
                    return tiled;
            }
        }
        return Tiled(pass, lines, element, vectors: 1, UnrolledWidths[^1], most, _sharedBytes);
    }

    /// <summary>The pass with a tile of <paramref name="vectors"/> rows or <paramref name="widthBytes"/> of columns; null if that needs more than
    /// <paramref name="limit"/> bytes of shared memory, or a line has too few elements for a cluster.</summary>
    private static UnrolledPass? Tiled(UnrolledPass pass, int lines, int element, int vectors, int widthBytes, int clusterBits, int limit)
    {
        bool rows = widthBytes == 0;
        int chunkElements = PackBytes / element, width = rows ? 1 : widthBytes / element, local = (1 << pass.LineBits) >> clusterBits;
        int chunkBits = BitOperations.Log2((uint)(local * width / chunkElements)), levels = chunkBits - (rows ? 0 : BitOperations.Log2((uint)(width / chunkElements)));

        // Along rows eight neighbouring threads of the last round write a line of memory.
        int last = Math.Min(rows ? Math.Max(levels - 3, 0) : levels, UnrolledRoundBits - clusterBits);
        int rounds = Ceiling(levels - last, UnrolledRoundBits), round = rounds == 0 ? 0 : Ceiling(levels - last, rounds);
        if (local == 0 || (clusterBits > 0 && last < UnrolledRoundBits - clusterBits))
            return null;

        // Neighbouring threads of the first round are `swizzle` bits apart; where a line has fewer than eight such, lines shift by as many.
        int swizzle = rounds == 0 ? last : round, apart = chunkBits - swizzle, pitch = (1 << chunkBits) + (apart < 3 ? 1 << apart : 0);
        return (long)vectors * lines * pitch * PackBytes > limit ? null : pass with
        {
            Sides = vectors * width,
            WidthBits = BitOperations.Log2((uint)width),
            ClusterBits = clusterBits,
            Pitch = pitch,
            Swizzle = swizzle,
            RoundBits = round,
            LastBits = last,
        };
    }

    private static bool HasPaleySigns(HadamardFactor factor) => factor.BaseOrder == 1 || PaleySigns.GetOrAdd(
        factor.Signs, static (signs, order) => signs.Span.SequenceEqual(order > 20 ? PaleyMatrix.Second(order) : PaleyMatrix.First(order)), factor.BaseOrder);

    private readonly record struct UnrolledPass
    {
        public nint X { get; init; }

        public nint Scale { get; init; }

        public nuint AxisStride { get; init; }

        public nuint SideStride { get; init; }

        public int Sides { get; init; }

        public int Limit { get; init; }

        public int WidthBits { get; init; }

        public int LineBits { get; init; }

        public int ClusterBits { get; init; }

        public int Pitch { get; init; }

        public int Swizzle { get; init; }

        public int RoundBits { get; init; }

        public int LastBits { get; init; }

        public int ScaleAfter { get; init; }

        public double Norm { get; init; }
    }
}
