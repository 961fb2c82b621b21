using System.Buffers;
using System.Numerics;
using System.Numerics.Tensors;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    // Elements that one parallel work item transforms at least, so that small rows do not pay for the scheduling.
    private const int HadamardItemElements = 1 << 14;

    // Rows that one pass over the columns combines at most, and bytes of a row that it takes at a time: together a first-level cache.
    private const int HadamardPassRows = 64;
    private const int HadamardStripBytes = 512;

    /// <inheritdoc/>
    public void Hadamard(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse)
    {
        TrellisArguments.Hadamard(onHost: true, x, factor, scale, axis);
        if (x.Type == DType.F32)
            Hadamard<float>(x, factor, scale, axis, inverse);
        else
            Hadamard<double>(x, factor, scale, axis, inverse);
    }

    /// <inheritdoc/>
    public void HadamardRows(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse, Tensor y)
    {
        TrellisArguments.HadamardRows(onHost: true, x, factor, scale, y);
        using Tensor? wide = y.Type == DType.F32 ? null : Allocate(DType.F32, x.Rows, x.Columns);
        Tensor work = wide ?? y;
        if (x != work)
            Convert(x, work);
        Hadamard<float>(work, factor, scale, HadamardAxis.Rows, inverse);
        if (work != y)
            Convert(work, y);
    }

    private void Hadamard<T>(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse) where T : unmanaged, IFloatingPointIeee754<T>
    {
        // Row k' of the product x·M needs column k' of M; Uᵀ needs row k'.
        int order = factor.BaseOrder, size = factor.Size;
        ReadOnlySpan<sbyte> signs = factor.Signs.Span;
        T[] mix = ArrayPool<T>.Shared.Rent(order * order), multipliers = ArrayPool<T>.Shared.Rent(2 * size);
        for (int i = 0; i < order; i++)
        {
            for (int k = 0; k < order; k++)
                mix[i * order + k] = T.CreateTruncating(inverse ? signs[i * order + k] : signs[k * order + i]);
        }

        // Each element is multiplied before and after the sums: by scale and 1/√size, or by 1 and scale/√size.
        T norm = T.One / T.Sqrt(T.CreateChecked(size));
        Span<T> before = multipliers.AsSpan(0, size), after = multipliers.AsSpan(size, size);
        before.Fill(T.One);
        after.Fill(norm);
        if (scale is not null)
        {
            Span<T> scaled = inverse ? after : before;
            TensorPrimitives.ConvertTruncating<float, T>(scale.Row<float>(0), scaled);
            if (inverse)
                TensorPrimitives.Multiply(scaled, norm, scaled);
        }

        var work = new HadamardWork<T>(x, factor, mix, multipliers, scale is not null && !inverse);
        if (axis == HadamardAxis.Rows)
        {
            int rows = Math.Max(1, HadamardItemElements / size);
            For((x.Rows + rows - 1) / rows, item => work.TransformRows(item * rows, Math.Min(x.Rows, (item + 1) * rows)));
        }
        else
        {
            foreach (HadamardPass pass in Passes(factor))
            {
                int columns = Math.Max(1, HadamardItemElements / pass.Count), chunks = (x.Columns + columns - 1) / columns;
                For(size / pass.Count * chunks, item => work.TransformColumns(pass, item / chunks, item % chunks * columns, columns));
            }
        }
        ArrayPool<T>.Shared.Return(multipliers);
        ArrayPool<T>.Shared.Return(mix);
    }

    // U = H_base ⊗ H ⊗ … ⊗ H: every factor combines rows that lie apart by the product of the sizes of the factors after it.
    private static IEnumerable<HadamardPass> Passes(HadamardFactor factor)
    {
        int stride = 1;
        do
        {
            int count = Math.Min(HadamardPassRows, factor.PowerOfTwo / stride);
            yield return new HadamardPass(stride, count, IsBase: false, IsFirst: stride == 1, IsLast: stride * count == factor.Size);
            stride *= count;
        }
        while (stride < factor.PowerOfTwo);
        if (factor.BaseOrder > 1)
            yield return new HadamardPass(stride, factor.BaseOrder, IsBase: true, IsFirst: false, IsLast: true);
    }

    /// <summary>A pass over the rows of a matrix: groups of rows are combined, each group on its own.</summary>
    /// <param name="Stride">Rows between members of a group.</param>
    /// <param name="Count">Members of a group.</param>
    /// <param name="IsBase">The base matrix; else Sylvester's.</param>
    /// <param name="IsFirst">Multiplies its input.</param>
    /// <param name="IsLast">Multiplies its output.</param>
    private readonly record struct HadamardPass(int Stride, int Count, bool IsBase, bool IsFirst, bool IsLast)
    {
        public int Row(int group, int member) => group / Stride * Stride * Count + group % Stride + member * Stride;
    }

    /// <summary>One call's constants.</summary>
    /// <param name="X">The matrix.</param>
    /// <param name="Factor">U.</param>
    /// <param name="Mix">(order, order) base matrix, transposed for the forward direction.</param>
    /// <param name="Multipliers">size numbers before and size numbers after the sums.</param>
    /// <param name="ScaleFirst">Whether the numbers before differ from 1.</param>
    private sealed record HadamardWork<T>(Tensor X, HadamardFactor Factor, T[] Mix, T[] Multipliers, bool ScaleFirst) where T : unmanaged, IFloatingPointIeee754<T>
    {
        private ReadOnlySpan<T> Before => Multipliers.AsSpan(0, Factor.Size);

        private ReadOnlySpan<T> After => Multipliers.AsSpan(Factor.Size, Factor.Size);

        private int StripLength => WalshHadamard.StripLength<T>(Factor.BaseOrder);

        public void TransformRows(int first, int end)
        {
            int block = Factor.PowerOfTwo;
            T[] scratch = ArrayPool<T>.Shared.Rent(Factor.Size + StripLength);
            Span<T> mixed = scratch.AsSpan(0, Factor.Size);
            for (int r = first; r < end; r++)
            {
                Span<T> row = X.Row<T>(r), sums = row;
                if (ScaleFirst)
                    TensorPrimitives.Multiply(row, Before, row);
                for (int k = 0; k < Factor.BaseOrder; k++)
                    WalshHadamard.Transform(row.Slice(k * block, block), lowest: 1);
                if (Factor.BaseOrder > 1)
                {
                    WalshHadamard.Mix(row, Mix, Factor.BaseOrder, scratch.AsSpan(Factor.Size), mixed);
                    sums = mixed;
                }
                TensorPrimitives.Multiply(sums, After, row);
            }
            ArrayPool<T>.Shared.Return(scratch);
        }

        // Takes the group's rows strip by strip into a panel, so that the butterflies stay in the first-level cache.
        public unsafe void TransformColumns(HadamardPass pass, int group, int firstColumn, int columns)
        {
            int width = HadamardStripBytes / sizeof(T), length = pass.Count * width;
            T[] scratch = ArrayPool<T>.Shared.Rent(2 * length + StripLength);
            Span<T> panel = scratch.AsSpan(0, length), mixed = scratch.AsSpan(length, length);
            int end = Math.Min(X.Columns, firstColumn + columns);
            for (int column = firstColumn; column < end; column += width)
            {
                int count = Math.Min(width, end - column);
                for (int i = 0; i < pass.Count; i++)
                {
                    int row = pass.Row(group, i);
                    Span<T> lanes = panel.Slice(i * width, width);
                    ReadOnlySpan<T> source = X.Row<T>(row).Slice(column, count);
                    if (pass.IsFirst && ScaleFirst)
                        TensorPrimitives.Multiply(source, Before[row], lanes);
                    else
                        source.CopyTo(lanes);
                    lanes[count..].Clear();
                }
                if (pass.IsBase)
                    WalshHadamard.Mix(panel, Mix, pass.Count, scratch.AsSpan(2 * length), mixed);
                else
                    WalshHadamard.Transform(panel, width);
                ReadOnlySpan<T> sums = pass.IsBase ? mixed : panel;
                for (int i = 0; i < pass.Count; i++)
                {
                    int row = pass.Row(group, i);
                    Span<T> destination = X.Row<T>(row).Slice(column, count);
                    if (pass.IsLast)
                        TensorPrimitives.Multiply(sums.Slice(i * width, count), After[row], destination);
                    else
                        sums.Slice(i * width, count).CopyTo(destination);
                }
            }
            ArrayPool<T>.Shared.Return(scratch);
        }
    }
}
