using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>c ← alpha · a · b + beta · c by packed panels and register tiles.</summary>
internal static class MatrixProduct
{
    /// <summary>Terms of the sums in one packed block.</summary>
    public const int BlockDepth = 2048;

    /// <summary>Computes the product with the widest vectors of the processor. Shapes and types were checked.</summary>
    /// <param name="backend">Gives the threads.</param>
    /// <param name="a">(m, k).</param>
    /// <param name="b">(k, n).</param>
    /// <param name="c">(m, n): F64 if a and b are, otherwise F32, BF16 or F16.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of the old c, which is not read if this is 0.</param>
    /// <param name="structure">What is left out.</param>
    public static void Multiply(CpuBackend backend, in MatrixView a, in MatrixView b, Tensor c, double alpha, double beta, ProductStructure structure)
    {
        if (c.Length == 0)
            return;
        if (c.Type is DType.BF16 or DType.F16 && a.Columns > BlockDepth)
        {
            // A narrow result cannot hold the sums of a block of the depth: they are kept in float32 and rounded once.
            using Tensor sums = backend.Allocate(DType.F32, c.Rows, c.Columns);
            if (beta != 0)
                backend.Convert(c, sums);
            Multiply<float>(backend, a, b, sums, alpha, beta, structure);
            backend.Convert(sums, c);
            return;
        }
        if (c.Type == DType.F64)
            Multiply<double>(backend, a, b, c, alpha, beta, structure);
        else
            Multiply<float>(backend, a, b, c, alpha, beta, structure);
    }

    private static void Multiply<T>(
        CpuBackend backend, in MatrixView a, in MatrixView b, Tensor c, double alpha, double beta, ProductStructure structure)
        where T : unmanaged, INumberBase<T>
    {
        if (Vector512.IsHardwareAccelerated)
            Multiply<Simd512<T>, Vector512<T>, T>(backend, a, b, c, alpha, beta, structure);
        else if (Vector256.IsHardwareAccelerated)
            Multiply<Simd256<T>, Vector256<T>, T>(backend, a, b, c, alpha, beta, structure);
        else if (Vector128.IsHardwareAccelerated)
            Multiply<Simd128<T>, Vector128<T>, T>(backend, a, b, c, alpha, beta, structure);
        else
            Multiply<SimdScalar<T>, T, T>(backend, a, b, c, alpha, beta, structure);
    }

    private static void Multiply<TSimd, TVector, T>(
        CpuBackend backend, in MatrixView a, in MatrixView b, Tensor c, double alpha, double beta, ProductStructure structure)
        where TSimd : ISimd<T, TVector>
        where TVector : unmanaged
        where T : unmanaged, INumberBase<T>
    {
        if (b.IsTransposed && a.Rows <= FewRowsProduct<TSimd, TVector, T>.MaxRows && structure == ProductStructure.General)
            new FewRowsProduct<TSimd, TVector, T>(a, b.Transpose(), c, alpha, beta).Run(backend);
        else
            new MatrixProduct<TSimd, TVector, T>(a, b, c, alpha, beta, structure).Run(backend);
    }
}

/// <summary>One matrix product under way.</summary>
/// <remarks>
/// Blocks of a and b are copied into panels (<see cref="PanelPacking{T}"/>), widened to T on the way, so that every type shares one kernel; then
/// tiles of c are computed independently, each over the whole depth of the block, and written once. Every element of c is one sum in the order of
/// k, so the result does not depend on the number of threads.
/// </remarks>
internal sealed unsafe class MatrixProduct<TSimd, TVector, T>
    where TSimd : ISimd<T, TVector>
    where TVector : unmanaged
    where T : unmanaged, INumberBase<T>
{
    /// <summary>Depth of one pass over a tile: a panel of a stays in the first-level cache.</summary>
    private const int DepthStep = 384;

    /// <summary>Panels of a in a tile of c, and of b: with <see cref="DepthStep"/>, what stays in the second-level cache.</summary>
    private const int TilePanelsA = 24, TilePanelsB = 2;

    /// <summary>Panels of a packed by one work item, so that whole cache lines of a transposed source are read.</summary>
    private const int PackPanelsA = 6;

    /// <summary>Bytes of a packed block of a, and of b: both stay in the third-level cache.</summary>
    private const int BlockBytes = 16 << 20;

    /// <summary>Terms whose summing takes longer than asking for the lines of the result.</summary>
    private const int PrefetchDepth = 64;

    /// <summary>Multiply-adds below which starting other threads costs more than it saves.</summary>
    private const long ParallelWork = 1 << 20;

    private readonly MatrixView _a, _b;
    private readonly Tensor _c;
    private readonly double _alpha, _beta;
    private readonly ProductStructure _structure;
    private readonly bool _unpackedB;

    // The block under way.
    private T* _panelsA, _panelsB;
    private int _row, _rows, _column, _columns, _start, _depth;
    private int _tilesA, _tilesB;

    public MatrixProduct(in MatrixView a, in MatrixView b, Tensor c, double alpha, double beta, ProductStructure structure)
    {
        (_a, _b, _c, _alpha, _beta, _structure) = (a, b, c, alpha, beta, structure);

        // Few rows do not repay copying b.
        _unpackedB = !b.IsTransposed && b.Type == NativeType && c.Rows <= 4 * TSimd.TileRows;
    }

    private static DType NativeType => typeof(T) == typeof(double) ? DType.F64 : DType.F32;

    private bool LowerResult => _structure.HasFlag(ProductStructure.LowerResult);

    private static int PanelA => TSimd.TileRows;

    private static int PanelB => 3 * TSimd.Lanes;

    public void Run(CpuBackend backend)
    {
        int m = _c.Rows, n = _c.Columns, k = _a.Columns;
        bool parallel = backend.Threads > 1 && (long)m * n * k >= ParallelWork;
        int depthStep = EvenStep(k, MatrixProduct.BlockDepth, 1), fitting = BlockBytes / (depthStep * sizeof(T));
        int rowStep = EvenStep(m, fitting, PanelA * PackPanelsA), columnStep = EvenStep(n, fitting, PanelB);
        nint sizeA = (nint)RoundUp(Math.Min(m, rowStep), PanelA * PackPanelsA) * depthStep;
        nint sizeB = (nint)RoundUp(_unpackedB ? Math.Min(n, PanelB) : Math.Min(n, columnStep), PanelB) * depthStep;
        byte[] workspace = ArrayPool<byte>.Shared.Rent(checked((int)((sizeA + sizeB) * sizeof(T) + 64)));
        fixed (byte* start = workspace)
        {
            _panelsA = (T*)(((nint)start + 63) & ~63);
            _panelsB = _panelsA + sizeA;
            for (_column = 0; _column < n; _column += columnStep)
            {
                _columns = Math.Min(columnStep, n - _column);
                for (_start = 0; _start < k || _start == 0; _start += depthStep)
                {
                    _depth = Math.Min(depthStep, k - _start);
                    for (_row = 0; _row < m; _row += rowStep)
                    {
                        _rows = Math.Min(rowStep, m - _row);
                        Block(backend, parallel, packB: _row == 0);
                    }
                }
            }
        }
        ArrayPool<byte>.Shared.Return(workspace);
    }

    private void Block(CpuBackend backend, bool parallel, bool packB)
    {
        int panelsA = Panels(_rows, PanelA), panelsB = Panels(_columns, PanelB);
        _tilesA = Panels(panelsA, TilePanelsA);
        _tilesB = Panels(panelsB, TilePanelsB);
        int packsA = Panels(panelsA, PackPanelsA), packsB = packB ? panelsB : 0;
        if (parallel)
        {
            // Enough tiles to share evenly.
            while (_tilesA * _tilesB < 16 * backend.Threads && panelsA / _tilesA >= 6)
                _tilesA *= 2;
            backend.For(packsA + packsB, item => Pack(item, packsA));
            backend.For(_tilesA * _tilesB, Tile);
            return;
        }
        for (int item = 0; item < packsA + packsB; item++)
            Pack(item, packsA);
        for (int tile = 0; tile < _tilesA * _tilesB; tile++)
            Tile(tile);
    }

    private void Pack(int item, int packsA)
    {
        if (item < packsA)
        {
            int first = item * PackPanelsA * PanelA, rows = Math.Min(PackPanelsA * PanelA, _rows - first);
            MatrixView source = _a.Slice(_row + first, rows, _start, _depth);
            PanelPacking<T>.Pack(source, PanelA, Panels(rows, PanelA), _panelsA + (nint)first * _depth, (nint)PanelA * _depth);
            return;
        }
        int panel = item - packsA, column = panel * PanelB, columns = Math.Min(PanelB, _columns - column);
        if (_unpackedB && !NeedsPacking(columns))
            return;
        MatrixView sourceB = _b.Slice(_start, _depth, _column + column, columns).Transpose();
        PanelPacking<T>.Pack(sourceB, PanelB, 1, _unpackedB ? _panelsB : _panelsB + (nint)column * _depth, 0);
    }

    /// <summary>Whether reading whole vectors would leave the row.</summary>
    private static bool NeedsPacking(int columns) => columns % TSimd.Lanes != 0;

    [SkipLocalsInit]
    private void Tile(int index)
    {
        // The lower rows of a triangle first: they are the longest.
        index = LowerResult ? _tilesA * _tilesB - 1 - index : index;
        int tileA = index / _tilesB, tileB = index % _tilesB;
        int panelsA = Panels(_rows, PanelA), panelsB = Panels(_columns, PanelB);
        int firstA = (int)((long)panelsA * tileA / _tilesA), endA = (int)((long)panelsA * (tileA + 1) / _tilesA);
        int firstB = (int)((long)panelsB * tileB / _tilesB), endB = (int)((long)panelsB * (tileB + 1) / _tilesB);
        int row = firstA * PanelA, rows = Math.Min(endA * PanelA, _rows) - row;
        int column = firstB * PanelB, columns = Math.Min(endB * PanelB, _columns) - column;
        if (LowerResult && _column + column > _row + row + rows - 1)
            return;

        T* space = stackalloc T[TilePanelsA * 8 * TilePanelsB * 3 * TSimd.Lanes + 64 / sizeof(T)];
        T* sums = (T*)(((nint)space + 63) & ~63);
        nint stride = TilePanelsB * PanelB;
        for (int p = 0; p < _depth || p == 0; p += DepthStep)
        {
            for (int j = firstB; j < endB; j++)
            {
                for (int i = firstA; i < endA; i++)
                    AddTile(i, j, p, Math.Min(p + DepthStep, _depth), sums + (i - firstA) * PanelA * stride + (j - firstB) * PanelB, stride);
            }
        }
        Store(_row + row, rows, _column + column, columns, sums, stride);
    }

    /// <summary>Adds the terms p … end−1 to a register tile, less those that are zero by structure.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddTile(int i, int j, int p, int end, T* sums, nint stride)
    {
        int row = i * PanelA, rows = Math.Min(PanelA, _rows - row), column = j * PanelB, columns = Math.Min(PanelB, _columns - column);
        int first = 0;
        if (_structure != ProductStructure.General)
        {
            int lastRow = _row + row + rows - 1, firstColumn = _column + column;
            if (LowerResult && firstColumn > lastRow)
                return;
            if (_structure.HasFlag(ProductStructure.LowerLeft))
                end = Math.Min(end, lastRow + 1 - _start);
            if (_structure.HasFlag(ProductStructure.UpperRight))
                end = Math.Min(end, firstColumn + columns - _start);
            if (_structure.HasFlag(ProductStructure.LowerRight))
                first = Math.Max(0, firstColumn - _start);
        }
        bool accumulate = p > first;
        p = Math.Max(p, first);
        if (accumulate && p >= end)
            return;
        T* a = _panelsA + (nint)row * _depth + (nint)p * PanelA;
        T* b = _panelsB + (nint)p * PanelB;
        nint strideB = PanelB;
        if (!_unpackedB)
        {
            b += (nint)column * _depth;
        }
        else if (!NeedsPacking(columns))
        {
            b = (T*)_b.Address(_start + p, _column + column);
            strideB = _b.Stride;
        }
        if (end == _depth && end - p >= PrefetchDepth)
            PrefetchResult(_row + row, rows, _column + column, columns);
        Multiply(rows, columns, Math.Max(0, end - p), a, b, strideB, sums, stride, accumulate);
    }

    /// <summary>Fetches what <see cref="Store"/> will write while the last terms are summed: c is seldom in a near cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void PrefetchResult(int row, int rows, int column, int columns)
    {
        if (!Sse.IsSupported)
            return;
        nint size = _c.Type.Size(), stride = _c.Stride * size;
        byte* line = (byte*)_c.Address + row * stride + column * size;
        for (int i = 0; i < rows; i++, line += stride)
        {
            for (nint offset = 0; offset < columns * size; offset += HostMemory.Alignment)
                Sse.Prefetch1(line + offset);
        }
    }

    private static void Multiply(int rows, int columns, nint depth, T* a, T* b, nint strideB, T* tile, nint stride, bool accumulate)
    {
        int vectors = Panels(columns, TSimd.Lanes);
        if (TSimd.TileRows > 4 && rows > 4)
        {
            if (vectors == 3)
                TileKernel<Tile8x3, TSimd, TVector, T>.Multiply(depth, a, PanelA, b, strideB, tile, stride, accumulate);
            else if (vectors == 2)
                TileKernel<Tile8x2, TSimd, TVector, T>.Multiply(depth, a, PanelA, b, strideB, tile, stride, accumulate);
            else
                TileKernel<Tile8x1, TSimd, TVector, T>.Multiply(depth, a, PanelA, b, strideB, tile, stride, accumulate);
        }
        else if (vectors == 3)
            TileKernel<Tile4x3, TSimd, TVector, T>.Multiply(depth, a, PanelA, b, strideB, tile, stride, accumulate);
        else if (vectors == 2)
            TileKernel<Tile4x2, TSimd, TVector, T>.Multiply(depth, a, PanelA, b, strideB, tile, stride, accumulate);
        else
            TileKernel<Tile4x1, TSimd, TVector, T>.Multiply(depth, a, PanelA, b, strideB, tile, stride, accumulate);
    }

    /// <summary>c ← alpha · sums + beta · c on a rectangle; a later block of the depth adds to what the first wrote.</summary>
    [SkipLocalsInit]
    private void Store(int row, int rows, int column, int columns, T* sums, nint stride)
    {
        double beta = _start > 0 ? 1 : _beta;
        T* scratch = stackalloc T[TilePanelsB * 3 * TSimd.Lanes];
        for (int i = 0; i < rows; i++, sums += stride)
        {
            int count = LowerResult ? Math.Min(columns, row + i + 1 - column) : columns;
            if (count <= 0)
                continue;
            byte* destination = (byte*)_c.Address + ((row + i) * _c.Stride + column) * _c.Type.Size();
            if (_c.Type == NativeType)
            {
                Combine(sums, (T*)destination, count, beta);
                continue;
            }
            if (beta != 0)
                ElementConversion.Convert(_c.Type, destination, NativeType, scratch, count);
            Combine(sums, scratch, count, beta);
            ElementConversion.Convert(NativeType, scratch, _c.Type, destination, count);
        }
    }

    private void Combine(T* sums, T* destination, int count, double beta)
    {
        T alpha = T.CreateTruncating(_alpha), factor = T.CreateTruncating(beta);
        TVector alphas = TSimd.Broadcast(alpha), factors = TSimd.Broadcast(factor);
        int i = 0;
        for (; i <= count - TSimd.Lanes; i += TSimd.Lanes)
        {
            TVector sum = TSimd.MultiplyAdd(alphas, TSimd.Load(sums + i), default);
            TSimd.Store(beta == 0 ? sum : TSimd.MultiplyAdd(factors, TSimd.Load(destination + i), sum), destination + i);
        }
        for (; i < count; i++)
        {
            T sum = alpha * sums[i];
            destination[i] = beta == 0 ? sum : T.MultiplyAddEstimate(factor, destination[i], sum);
        }
    }

    private static int Panels(int count, int size) => (count + size - 1) / size;

    private static int RoundUp(int count, int multiple) => Panels(count, multiple) * multiple;

    /// <summary>The smallest multiple of <paramref name="multiple"/> that cuts count into as few pieces as pieces of at most limit would.</summary>
    private static int EvenStep(int count, int limit, int multiple)
    {
        limit = Math.Max(multiple, limit / multiple * multiple);
        return Math.Max(multiple, RoundUp(Panels(count, Panels(Math.Max(1, count), limit)), multiple));
    }

    private readonly struct Tile8x3 : ITileShape
    {
        public static int Rows => 8;

        public static int Vectors => 3;
    }

    private readonly struct Tile8x2 : ITileShape
    {
        public static int Rows => 8;

        public static int Vectors => 2;
    }

    private readonly struct Tile8x1 : ITileShape
    {
        public static int Rows => 8;

        public static int Vectors => 1;
    }

    private readonly struct Tile4x3 : ITileShape
    {
        public static int Rows => 4;

        public static int Vectors => 3;
    }

    private readonly struct Tile4x2 : ITileShape
    {
        public static int Rows => 4;

        public static int Vectors => 2;
    }

    private readonly struct Tile4x1 : ITileShape
    {
        public static int Rows => 4;

        public static int Vectors => 1;
    }
}
