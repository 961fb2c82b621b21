using System.Collections.Concurrent;
using System.Numerics;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// kernels/hadamard_rows.cu and kernels/hadamard_columns.cu: one pass for the base orders whose matrices the kernels know.
public sealed partial class GpuBackend
{
    private const int UnrolledRowThreads = 256, UnrolledColumnThreads = 128, UnrolledRoundBits = 3, UnrolledRunBits = 7, UnrolledClusterBits = 3;

    /// <summary>Bytes of a tile of rows: about as many, of short rows; up to which half the threads do.</summary>
    private const int UnrolledRowBytes = 16 << 10, UnrolledSmallBytes = 24 << 10;

    /// <summary>Columns of a tile, at least: so many neighbouring threads share the scale of their rows.</summary>
    private const int UnrolledColumns = 8;

    /// <summary>Bytes that fill the banks of shared memory once.</summary>
    private const int UnrolledRowOfBanks = 128;

    /// <summary>Bytes of the columns of a tile: as many as fit of these, for memory gives whole lines of 128 best.</summary>
    private static readonly int[] UnrolledWidths = [128, 64, 32];

    /// <summary>Bytes of a block's part of a tile of columns, at most: with which three blocks, or else two, share a multiprocessor.</summary>
    private static readonly int[] UnrolledTileBytes = [74 << 10, 113 << 10];

    // Base orders with kernels, and the bits of the power of two that a thread transforms together with the base, of F32 and F64.
    private static readonly (int Order, int Bits32, int Bits64)[] UnrolledRowOrders = [(1, 5, 4), (12, 1, 0), (20, 1, 0), (28, 0, 0), (36, 0, 0)];
    private static readonly (int Order, int Bits32, int Bits64)[] UnrolledColumnOrders = [(1, 6, 6), (12, 3, 2), (20, 2, 1), (28, 2, 1), (36, 1, 0)];

    // Whether signs are those of the kernels, Paley's.
    private static readonly ConcurrentDictionary<ReadOnlyMemory<sbyte>, bool> PaleySigns = new();

    /// <summary>Transforms the rows of x to y; false if there is no kernel for them, or they do not begin at multiples of 16 bytes.</summary>
    private bool TryUnrolledRows(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse, Tensor y)
    {
        DType sums = x.Type == DType.F64 ? DType.F64 : DType.F32;
        int lines = UnrolledLines(UnrolledRowOrders, factor, sums), element = sums.Size();
        bool aligned = RowsAligned(y) && (scale?.Address ?? 0) % PackBytes == 0;
        if (TypesOfRows(x, y) is not { } types || lines == 0 || factor.Size / lines * element < PackBytes || !aligned)
            return false;
        int line = factor.Size / lines, vectors = Math.Clamp(UnrolledRowBytes / (factor.Size * element), 1, x.Rows);

        // Eight neighbouring threads of the last round write a line of memory.
        int chunkBits = BitOperations.Log2((uint)(line * element / PackBytes)), last = Math.Clamp(chunkBits - 3, 0, UnrolledRoundBits);
        int rounds = Ceiling(chunkBits - last, UnrolledRoundBits), round = rounds == 0 ? 0 : Ceiling(chunkBits - last, rounds);

        // Neighbouring threads of the first round are `swizzle` bits apart; where a line has fewer than eight such, lines shift by as many.
        int swizzle = rounds == 0 ? last : round, apart = chunkBits - swizzle, pitch = (1 << chunkBits) + (apart < 3 ? 1 << apart : 0);
        long bytes = (long)vectors * lines * pitch * PackBytes;
        if (bytes > _sharedBytes)
            return false;
        var pass = new RowPass
        {
            Y = y.Address,
            X = x.Address,
            Scale = scale?.Address ?? 0,
            StrideY = (nuint)y.Stride,
            StrideX = (nuint)x.Stride,
            Vectors = vectors,
            Rows = x.Rows,
            LineBits = BitOperations.Log2((uint)line),
            Pitch = pitch,
            Swizzle = swizzle,
            RoundBits = round,
            LastBits = last,
            ScaleAfter = inverse ? 1 : 0,
            Norm = UnrolledNorm(sums, factor),
        };
        dim3 block = bytes > UnrolledSmallBytes ? UnrolledRowThreads : UnrolledRowThreads / 2;
        Kernel("hadamard_rows", UnrolledName("rows", types, factor, inverse)).Launch(_stream, Ceiling(x.Rows, vectors), block, pass, (uint)bytes);
        return true;
    }

    /// <summary>Transforms columns; false if there is no kernel for them, or a tile does not fit.</summary>
    private bool TryUnrolledColumns(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse)
    {
        int lines = UnrolledLines(UnrolledColumnOrders, factor, x.Type), element = x.Type.Size();
        if (lines == 0)
            return false;
        int lineBits = BitOperations.Log2((uint)(factor.Size / lines)), runBits = Math.Min(lineBits, x.Type == DType.F32 ? UnrolledRunBits : UnrolledRunBits - 1);
        if (lineBits - runBits > UnrolledRoundBits || ColumnTile(lines, lineBits, runBits, element) is not { } tile)
            return false;
        var pass = new ColumnPass
        {
            X = x.Address,
            Scale = scale?.Address ?? 0,
            Stride = (nuint)x.Stride,
            Columns = x.Columns,
            WidthBits = BitOperations.Log2((uint)(tile.Width / element)),
            LineBits = lineBits,
            RunBits = runBits,
            ClusterBits = tile.ClusterBits,
            Pitch = tile.Pitch,
            ScaleAfter = inverse ? 1 : 0,
            Norm = UnrolledNorm(x.Type, factor),
        };
        dim3 grid = checked((int)((long)Ceiling(x.Columns, tile.Width / element) << tile.ClusterBits));
        Kernel("hadamard_columns", UnrolledName("columns", x.Type == DType.F32 ? "f32" : "f64", factor, inverse))
            .Launch(_stream, grid, UnrolledColumnThreads, pass, (uint)tile.Bytes, 1 << tile.ClusterBits);
        return true;
    }

    /// <summary>The widest tile of columns that fits into a cluster, of as few blocks as do: bytes of its columns, log2 of the blocks, rows from run to run,
    /// bytes of a block.</summary>
    private (int Width, int ClusterBits, int Pitch, int Bytes)? ColumnTile(int lines, int lineBits, int runBits, int element)
    {
        int most = _images.HasWarpgroups ? Math.Min(UnrolledClusterBits, lineBits) : 0;
        foreach (int width in UnrolledWidths)
        {
            // A row more keeps the rows that a warp touches in different banks; it is left out where there is no room for it.
            int row = width < UnrolledRowOfBanks && runBits > 0 ? 1 : 0;
            foreach (int limit in UnrolledTileBytes)
            {
                for (int bits = 0; bits <= most && width / element >= UnrolledColumns; bits++)
                {
                    long runBytes = ((long)lines << (lineBits - runBits) >> bits) * width, room = Math.Min(limit, _sharedBytes) / runBytes;
                    int pitch = (1 << runBits) + (room > 1 << runBits ? row : 0);
                    if (lines % (1 << bits) == 0 && pitch <= room)
                        return (width, bits, pitch, (int)(runBytes * pitch));
                }
            }
        }
        return null;
    }

    /// <summary>Lines that a thread transforms in registers; 0 if there is no such kernel, or the transform has fewer.</summary>
    private static int UnrolledLines((int Order, int Bits32, int Bits64)[] orders, HadamardFactor factor, DType type)
    {
        int index = Array.FindIndex(orders, entry => entry.Order == factor.BaseOrder);
        if (index < 0 || !HasPaleySigns(factor))
            return 0;
        int bits = type == DType.F32 ? orders[index].Bits32 : orders[index].Bits64;
        return factor.PowerOfTwo >> bits == 0 ? 0 : factor.BaseOrder << bits;
    }

    // The matrices of Paley's second construction and Sylvester's are symmetric.
    private static string UnrolledName(string axis, string types, HadamardFactor factor, bool inverse) =>
        $"hadamard_{axis}_{factor.BaseOrder}{(inverse && factor.BaseOrder is 12 or 20 ? "_transposed" : "")}_{types}";

    private static double UnrolledNorm(DType type, HadamardFactor factor) => type == DType.F32 ? 1 / MathF.Sqrt(factor.Size) : 1 / Math.Sqrt(factor.Size);

    private static bool HasPaleySigns(HadamardFactor factor) => factor.BaseOrder == 1 || PaleySigns.GetOrAdd(
        factor.Signs, static (signs, order) => signs.Span.SequenceEqual(order > 20 ? PaleyMatrix.Second(order) : PaleyMatrix.First(order)), factor.BaseOrder);

    private readonly record struct RowPass
    {
        public nint Y { get; init; }

        public nint X { get; init; }

        public nint Scale { get; init; }

        public nuint StrideY { get; init; }

        public nuint StrideX { get; init; }

        public int Vectors { get; init; }

        public int Rows { get; init; }

        public int LineBits { get; init; }

        public int Pitch { get; init; }

        public int Swizzle { get; init; }

        public int RoundBits { get; init; }

        public int LastBits { get; init; }

        public int ScaleAfter { get; init; }

        public double Norm { get; init; }
    }

    private readonly record struct ColumnPass
    {
        public nint X { get; init; }

        public nint Scale { get; init; }

        public nuint Stride { get; init; }

        public int Columns { get; init; }

        public int WidthBits { get; init; }

        public int LineBits { get; init; }

        public int RunBits { get; init; }

        public int ClusterBits { get; init; }

        public int Pitch { get; init; }

        public int ScaleAfter { get; init; }

        public double Norm { get; init; }
    }
}
