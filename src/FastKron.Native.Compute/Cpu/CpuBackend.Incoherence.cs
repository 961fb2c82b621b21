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

    /// <inheritdoc/>
    public void Hadamard(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse)
    {
        TensorArguments.RequireHost(x);
        TensorArguments.RequireSingleOrDouble(x);
        if (axis == HadamardAxis.Rows)
            TensorArguments.RequireShape(x, x.Rows, factor.Size);
        else
            TensorArguments.RequireShape(x, factor.Size, x.Columns);
        if (scale is not null)
        {
            TensorArguments.RequireHost(scale);
            TensorArguments.RequireType(scale, DType.F32);
            TensorArguments.RequireShape(scale, 1, factor.Size);
        }
        if (x.Type == DType.F32)
            Hadamard<float>(x, factor, scale, axis, inverse);
        else
            Hadamard<double>(x, factor, scale, axis, inverse);
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
            int panels = (x.Columns + HadamardWork<T>.PanelWidth - 1) / HadamardWork<T>.PanelWidth;
            int width = Math.Max(1, HadamardItemElements / (size * HadamardWork<T>.PanelWidth));
            For((panels + width - 1) / width, item => work.TransformPanels(item * width, Math.Min(panels, (item + 1) * width)));
        }
        ArrayPool<T>.Shared.Return(multipliers);
        ArrayPool<T>.Shared.Return(mix);
    }

    /// <summary>One call's constants.</summary>
    /// <param name="X">The matrix.</param>
    /// <param name="Factor">U.</param>
    /// <param name="Mix">(order, order) base matrix, transposed for the forward direction.</param>
    /// <param name="Multipliers">size numbers before and size numbers after the sums.</param>
    /// <param name="ScaleFirst">Whether the numbers before differ from 1.</param>
    private sealed record HadamardWork<T>(Tensor X, HadamardFactor Factor, T[] Mix, T[] Multipliers, bool ScaleFirst) where T : unmanaged, IFloatingPointIeee754<T>
    {
        /// <summary>Columns transformed together: one cache line.</summary>
        public static unsafe int PanelWidth => 64 / sizeof(T);

        private ReadOnlySpan<T> Before => Multipliers.AsSpan(0, Factor.Size);

        private ReadOnlySpan<T> After => Multipliers.AsSpan(Factor.Size, Factor.Size);

        public void TransformRows(int first, int end)
        {
            T[] scratch = ArrayPool<T>.Shared.Rent(Factor.Size);
            for (int r = first; r < end; r++)
            {
                Span<T> row = X.Row<T>(r);
                if (ScaleFirst)
                    TensorPrimitives.Multiply(row, Before, row);
                TensorPrimitives.Multiply(Sum(row, scratch, 1), After, row);
            }
            ArrayPool<T>.Shared.Return(scratch);
        }

        // Gathers PanelWidth columns beside each other: strides of a power of two would otherwise fall on few cache sets.
        public void TransformPanels(int first, int end)
        {
            int size = Factor.Size, width = PanelWidth;
            T[] panel = ArrayPool<T>.Shared.Rent(size * width), scratch = ArrayPool<T>.Shared.Rent(size * width);
            Span<T> packed = panel.AsSpan(0, size * width);
            for (int p = first; p < end; p++)
            {
                int column = p * width, columns = Math.Min(width, X.Columns - column);
                for (int r = 0; r < size; r++)
                {
                    Span<T> lanes = packed.Slice(r * width, width);
                    ReadOnlySpan<T> source = X.Row<T>(r).Slice(column, columns);
                    if (ScaleFirst)
                        TensorPrimitives.Multiply(source, Before[r], lanes);
                    else
                        source.CopyTo(lanes);
                    lanes[columns..].Clear();
                }
                ReadOnlySpan<T> sums = Sum(packed, scratch, width);
                for (int r = 0; r < size; r++)
                    TensorPrimitives.Multiply(sums.Slice(r * width, columns), After[r], X.Row<T>(r).Slice(column, columns));
            }
            ArrayPool<T>.Shared.Return(scratch);
            ArrayPool<T>.Shared.Return(panel);
        }

        // The unnormalised transform of interleaved vectors; returns where the sums are.
        private Span<T> Sum(Span<T> x, T[] scratch, int interleaved)
        {
            int block = Factor.PowerOfTwo * interleaved;
            for (int k = 0; k < Factor.BaseOrder; k++)
                WalshHadamard.Transform(x.Slice(k * block, block), interleaved);
            if (Factor.BaseOrder == 1)
                return x;
            Span<T> mixed = scratch.AsSpan(0, x.Length);
            WalshHadamard.Mix(x, Mix, Factor.BaseOrder, mixed);
            return mixed;
        }
    }
}
