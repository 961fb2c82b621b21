using System.Collections.Concurrent;
using System.Numerics;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// kernels/hadamard_rows.cu and kernels/hadamard_columns.cu: one pass for the base orders whose matrices the kernels know.
public sealed partial class GpuBackend
{
    private const int UnrolledRowThreads = 256, UnrolledRoundBits = 3;

    /// <summary>Bytes of a tile of rows: about as many, of short rows; up to which half the threads do.</summary>
    private const int UnrolledRowBytes = 16 << 10, UnrolledSmallBytes = 24 << 10;

    /// <summary>Columns of a tile, at least: so many neighbouring threads share the scale of their rows.</summary>
    private const int UnrolledColumns = 8;

    /// <summary>log2 of the lines of a column, at most, without a base.</summary>
    private const int UnrolledLineBits = 6;

    /// <summary>Bytes that fill the banks of shared memory once.</summary>
    private const int UnrolledRowOfBanks = 128;

    /// <summary>log2 of the blocks of a cluster, as any device forms it; beyond, up to the most of any, it is asked.</summary>
    private const int PortableClusterBits = 3, UnrolledClusterBits = 4;

    /// <summary>Shared memory that a block takes beside its own.</summary>
    private const int BlockReserve = 1 << 10;

    /// <summary>Tiles of columns, the faster ones first: bytes of their columns, shared memory of the blocks that share a multiprocessor, and whether there is a row
    /// between runs. 196 KB leave 60 KB of an H100's for the lines that loads wait for, 227 KB leave 28. Memory gives whole lines of 128 bytes best.</summary>
    private static readonly (int[] Widths, int SharedBytes, bool Padded)[] UnrolledTiles =
    [
        ([128, 64], 196 << 10, true),
        ([128, 64], 227 << 10, true),
        ([32], 227 << 10, true),
        ([64, 32], 227 << 10, false),
    ];

    // Base orders with kernels, and the bits of the power of two that a thread transforms together with the base, of F32 and F64.
    private static readonly (int Order, int Bits32, int Bits64)[] UnrolledRowOrders = [(1, 5, 4), (12, 1, 0), (20, 1, 0), (28, 0, 0), (36, 0, 0)];

    // Base orders with kernels, and the words of a column that a thread has at most, of F32 and F64.
    private static readonly (int Order, int Words32, int Words64)[] UnrolledColumnOrders = [(1, 128, 128), (12, 64, 128), (20, 64, 128), (28, 128, 128), (36, 128, 128)];

    // Whether signs are those of the kernels, Paley's.
    private static readonly ConcurrentDictionary<ReadOnlyMemory<sbyte>, bool> PaleySigns = new();

    /// <summary>Transforms the rows of x to y; false if there is no kernel for them, or they do not begin at multiples of 16 bytes.</summary>
    private bool TryUnrolledRows(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse, Tensor y)
    {
        DType sums = x.Type == DType.F64 ? DType.F64 : DType.F32;
        int lines = UnrolledRowLines(factor, sums), element = sums.Size();
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
        int index = Array.FindIndex(UnrolledColumnOrders, entry => entry.Order == factor.BaseOrder), element = x.Type.Size();
        if (index < 0)
            return false;

        // The kernel's ColumnShape.
        int words = x.Type == DType.F32 ? UnrolledColumnOrders[index].Words32 : UnrolledColumnOrders[index].Words64, most = words * sizeof(float) / element;
        int lines = UnrolledLines(factor, Math.Min(UnrolledLineBits, BitOperations.Log2((uint)(most / factor.BaseOrder))));
        if (lines == 0)
            return false;
        int lineBits = BitOperations.Log2((uint)(factor.Size / lines)), runBits = Math.Min(lineBits, BitOperations.Log2((uint)most));
        if (lineBits - runBits > UnrolledRoundBits)
            return false;
        CudaKernel kernel = Kernel("hadamard_columns", UnrolledName("columns", x.Type == DType.F32 ? "f32" : "f64", factor, inverse));
        if (ColumnTile(kernel, UnrolledBlocks(words, element), lines, lineBits, runBits, element) is not { } tile)
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
        kernel.Launch(_stream, grid, tile.Threads, pass, (uint)tile.Bytes, 1 << tile.ClusterBits);
        return true;
    }

    /// <summary>The first tile of <see cref="UnrolledTiles"/> that has room, of small blocks before large ones, then of as few blocks in a cluster, then as wide as
    /// can be: threads, bytes of its columns, log2 of the blocks of a cluster, rows from run to run, bytes of a block.</summary>
    private (int Threads, int Width, int ClusterBits, int Pitch, int Bytes)? ColumnTile(
        CudaKernel kernel, (int Threads, int Count)[] blocks, int lines, int lineBits, int runBits, int element)
    {
        int clusterBits = _images.HasWarpgroups ? Math.Min(UnrolledClusterBits, lineBits) : 0;
        foreach ((int[] widths, int sharedBytes, bool padded) in UnrolledTiles)
        {
            foreach ((int threads, int count) in blocks)
            {
                for (int bits = 0; bits <= clusterBits && lines % (1 << bits) == 0; bits++)
                {
                    foreach (int width in widths)
                    {
                        // A row more keeps the rows that a warp touches in different banks.
                        int pitch = (1 << runBits) + (padded && width < UnrolledRowOfBanks && runBits > 0 ? 1 : 0);
                        long bytes = ((long)lines << (lineBits - runBits) >> bits) * pitch * width;
                        bool room = width / element >= UnrolledColumns && bytes <= _sharedBytes && count * (bytes + BlockReserve) <= sharedBytes;
                        if (room && (bits <= PortableClusterBits || kernel.MaxActiveClusters(1 << bits, threads, (uint)bytes) > 0))
                            return (threads, width, bits, pitch, (int)bytes);
                    }
                }
            }
        }
        return null;
    }

    /// <summary>Threads of a block, and how many such blocks the kernel's registers let a multiprocessor have: its launch bounds.</summary>
    private (int Threads, int Count)[] UnrolledBlocks(int words, int element) => words == 64
        ? [(128, 4), (256, 2)]
        : [(128, _images.HasWarpgroups && element == sizeof(float) ? 3 : 2)];

    /// <summary>Lines that a thread transforms in registers, rows' kernels; 0 if there is no such kernel, or the transform has fewer.</summary>
    private static int UnrolledRowLines(HadamardFactor factor, DType type)
    {
        int index = Array.FindIndex(UnrolledRowOrders, entry => entry.Order == factor.BaseOrder);
        return index < 0 ? 0 : UnrolledLines(factor, type == DType.F32 ? UnrolledRowOrders[index].Bits32 : UnrolledRowOrders[index].Bits64);
    }

    /// <summary>Lines with that many bits of the power of two; 0 if the transform has fewer, or other signs.</summary>
    private static int UnrolledLines(HadamardFactor factor, int bits) => HasPaleySigns(factor) && factor.PowerOfTwo >> bits > 0 ? factor.BaseOrder << bits : 0;

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
