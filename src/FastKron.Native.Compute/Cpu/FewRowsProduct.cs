using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>c ← alpha · a · bᵀ + beta · c for a few rows of a: dot products that read b once, where it lies, as generation needs.</summary>
internal sealed unsafe class FewRowsProduct<TSimd, TVector, T>
    where TSimd : ISimd<T, TVector>
    where TVector : unmanaged
    where T : unmanaged, INumberBase<T>
{
    /// <summary>Most rows of a for which this is faster than packing b.</summary>
    public const int MaxRows = 8;

    /// <summary>Terms summed at a time: a piece of two rows of a and four of b stays in the first-level cache.</summary>
    private const int DepthStep = 1024;

    /// <summary>Rows of b of one work item.</summary>
    private const int RowsPerItem = 64;

    /// <summary>Multiply-adds below which starting other threads costs more than it saves.</summary>
    private const long ParallelWork = 1 << 17;

    private readonly MatrixView _a, _b;
    private readonly Tensor _c;
    private readonly double _alpha, _beta;
    private T* _rows;

    /// <summary>Prepares a product of a (m, k) and b (n, k), whose rows lie in adjacent memory.</summary>
    public FewRowsProduct(in MatrixView a, in MatrixView b, Tensor c, double alpha, double beta) =>
        (_a, _b, _c, _alpha, _beta) = (a, b, c, alpha, beta);

    private static DType NativeType => typeof(T) == typeof(double) ? DType.F64 : DType.F32;

    public void Run(CpuBackend backend)
    {
        int m = _a.Rows, k = _a.Columns, padded = (m + 1) & ~1;
        byte[] workspace = ArrayPool<byte>.Shared.Rent(checked(padded * k * sizeof(T)));
        fixed (byte* start = workspace)
        {
            // Rows of a without gaps, in T, filled up with zeros to a multiple of two.
            _rows = (T*)start;
            new Span<T>(_rows + (nint)m * k, (padded - m) * k).Clear();
            for (int i = 0; i < m; i++)
            {
                if (!_a.IsTransposed)
                {
                    ElementConversion.Convert(_a.Type, _a.Address(i, 0), NativeType, _rows + (nint)i * k, k);
                    continue;
                }
                for (int p = 0; p < k; p++)
                    ElementConversion.Convert(_a.Type, _a.Address(i, p), NativeType, _rows + (nint)i * k + p, 1);
            }
            int items = (_b.Rows + RowsPerItem - 1) / RowsPerItem;
            if ((long)m * k * _b.Rows < ParallelWork)
            {
                for (int item = 0; item < items; item++)
                    Item(item);
            }
            else
            {
                backend.For(items, Item);
            }
        }
        ArrayPool<byte>.Shared.Return(workspace);
    }

    [SkipLocalsInit]
    private void Item(int item)
    {
        int m = _a.Rows, k = _a.Columns, end = Math.Min(_b.Rows, (item + 1) * RowsPerItem);
        T* widened = stackalloc T[4 * DepthStep];
        T* sums = stackalloc T[MaxRows * 4];
        for (int j = item * RowsPerItem; j < end; j += 4)
        {
            int columns = Math.Min(4, end - j);
            new Span<T>(sums, MaxRows * 4).Clear();
            for (int p = 0; p < k; p += DepthStep)
            {
                int depth = Math.Min(DepthStep, k - p);
                T* b = (T*)_b.Address(j, p);
                nint stride = _b.Stride;
                if (_b.Type != NativeType)
                {
                    for (int i = 0; i < columns; i++)
                        ElementConversion.Convert(_b.Type, _b.Address(j + i, p), NativeType, widened + i * DepthStep, depth);
                    b = widened;
                    stride = DepthStep;
                }

                // Missing rows of b repeat the last one; their sums are not stored.
                T* b1 = b + Math.Min(1, columns - 1) * stride, b2 = b + Math.Min(2, columns - 1) * stride, b3 = b + Math.Min(3, columns - 1) * stride;
                for (int i = 0; i < m; i += 2)
                    AddProducts(depth, _rows + (nint)i * k + p, _rows + (nint)(i + 1) * k + p, b, b1, b2, b3, sums + i * 4);
            }
            Store(j, columns, sums);
        }
    }

    /// <summary>sums (2, 4) += the dot products of two rows with four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddProducts(int depth, T* x, T* y, T* b0, T* b1, T* b2, T* b3, T* sums)
    {
        TVector x0 = default, x1 = default, x2 = default, x3 = default, y0 = default, y1 = default, y2 = default, y3 = default;
        int p = 0;
        for (; p <= depth - TSimd.Lanes; p += TSimd.Lanes)
        {
            TVector xs = TSimd.Load(x + p), ys = TSimd.Load(y + p);
            TVector b = TSimd.Load(b0 + p);
            x0 = TSimd.MultiplyAdd(xs, b, x0);
            y0 = TSimd.MultiplyAdd(ys, b, y0);
            b = TSimd.Load(b1 + p);
            x1 = TSimd.MultiplyAdd(xs, b, x1);
            y1 = TSimd.MultiplyAdd(ys, b, y1);
            b = TSimd.Load(b2 + p);
            x2 = TSimd.MultiplyAdd(xs, b, x2);
            y2 = TSimd.MultiplyAdd(ys, b, y2);
            b = TSimd.Load(b3 + p);
            x3 = TSimd.MultiplyAdd(xs, b, x3);
            y3 = TSimd.MultiplyAdd(ys, b, y3);
        }
        for (; p < depth; p++)
        {
            sums[0] += x[p] * b0[p];
            sums[1] += x[p] * b1[p];
            sums[2] += x[p] * b2[p];
            sums[3] += x[p] * b3[p];
            sums[4] += y[p] * b0[p];
            sums[5] += y[p] * b1[p];
            sums[6] += y[p] * b2[p];
            sums[7] += y[p] * b3[p];
        }
        sums[0] += TSimd.Sum(x0);
        sums[1] += TSimd.Sum(x1);
        sums[2] += TSimd.Sum(x2);
        sums[3] += TSimd.Sum(x3);
        sums[4] += TSimd.Sum(y0);
        sums[5] += TSimd.Sum(y1);
        sums[6] += TSimd.Sum(y2);
        sums[7] += TSimd.Sum(y3);
    }

    private void Store(int column, int columns, T* sums)
    {
        T alpha = T.CreateTruncating(_alpha), beta = T.CreateTruncating(_beta);
        T* old = stackalloc T[4];
        for (int i = 0; i < _a.Rows; i++, sums += 4)
        {
            void* destination = (byte*)_c.Address + (i * _c.Stride + column) * _c.Type.Size();
            if (_beta != 0)
                ElementConversion.Convert(_c.Type, destination, NativeType, old, columns);
            for (int j = 0; j < columns; j++)
                sums[j] = _beta == 0 ? alpha * sums[j] : alpha * sums[j] + beta * old[j];
            ElementConversion.Convert(NativeType, sums, _c.Type, destination, columns);
        }
    }
}
