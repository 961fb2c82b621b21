using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Scales of channels fitted after rounding: with the codes kept, the diagonals of SU and SV that lose least.</summary>
/// <remarks>
/// With X the decoded matrix, W ≈ X diag(t) and W ≈ diag(s) X are least-squares problems in tr(E B Eᵀ A), E = W − X: for the change δ of all ones,
/// (B ∘ (XᵀAX)) δ = diag(B Eᵀ A X) and (A ∘ (XBXᵀ)) δ = diag(A E B Xᵀ), positive definite by Schur's product theorem. A step δ lowers the loss by
/// δᵀ(2r − Mδ), r the right side. Inputs go first, since SU is stored in 8 bits of mantissa and the outputs, stored in float32, make up for that.
/// Source: hessians-and-rounding.md section 9 (6b).
/// </remarks>
/// <param name="backend">Where it is done.</param>
/// <param name="output">Metric of the outputs, A.</param>
/// <param name="input">Metric of the inputs, B.</param>
internal sealed class ChannelScales(IBackend backend, ChannelScales.Metric output, ChannelScales.Metric input)
{
    // M's diagonal grows by this part: products of narrow operands are off by less, and it costs the step nothing that could be measured.
    private const double Ridge = 1e-3;

    /// <summary>A factor as rounding used it, H over its mean diagonal plus σ D², where H′ = D⁻¹HD⁻¹ was damped.</summary>
    /// <param name="Factor">H (n, n) F32, host; null for the identity.</param>
    /// <param name="Damping">σ in units of H's mean diagonal.</param>
    public readonly record struct Metric(Tensor? Factor, double Damping);

    /// <summary>Fits both sides.</summary>
    /// <param name="rounded">Codes and scales; its scales are replaced.</param>
    /// <param name="scale">Wscale: |SV| = Wscale/d.</param>
    /// <param name="w">W (m, n) F32, on the backend.</param>
    /// <returns>The same codes with the scales that lose least; by how much tr(E B Eᵀ A) fell; null, or which side was left as it is and why.</returns>
    public (QuantizedWeights Weights, double Gain, string? Failure) Fit(QuantizedWeights rounded, float scale, Tensor w)
    {
        int m = rounded.Rows, n = rounded.Columns;
        using Tensor? a = Load(output, rounded.OutputScale, scale), b = Load(input, rounded.InputScale, 1);
        double gain = 0;
        List<string> failures = [];
        foreach (bool outputs in new[] { false, true })
        {
            using Tensor x = backend.Allocate(DType.F32, m, n), e = backend.Allocate(DType.F32, m, n);
            rounded.Dequantize(backend, x);
            backend.Convert(w, e);
            backend.Axpy(-1, x, e);
            using Equations equations = outputs ? NormalEquations(outputs, x, e, a, b) : NormalEquations(outputs, x, e, b, a);
            float[] old = outputs ? rounded.OutputScale : rounded.InputScale, fitted = [.. old];
            if (equations.Solve() is not { } step)
            {
                failures.Add($"scales of {(outputs ? "outputs" : "inputs")} not fitted: their normal equations are not positive definite");
                continue;
            }
            for (int i = 0; i < fitted.Length; i++)
            {
                fitted[i] = (float)(old[i] * (1 + step[i]));
                if (!outputs)
                    fitted[i] = BFloat16.FromSingle(fitted[i]).ToSingle();
                step[i] = old[i] == 0 ? 0 : (double)fitted[i] / old[i] - 1;
            }
            double fall = equations.Fall(step);
            if (!(fall > 0))
                continue;
            gain += fall;
            rounded = outputs ? rounded with { OutputScale = fitted } : rounded with { InputScale = fitted };
        }
        return (rounded, gain, failures.Count == 0 ? null : string.Join("; ", failures));
    }

    // Of outputs (A ∘ (X (XB)ᵀ)) δ = diag(A E (XB)ᵀ), of inputs (B ∘ (Xᵀ AX)) δ = diag((AX)ᵀ E B); own: metric of the side that is fitted.
    private Equations NormalEquations(bool outputs, Tensor x, Tensor e, Tensor? own, Tensor? other)
    {
        int size = outputs ? x.Rows : x.Columns;
        using Tensor weighted = outputs ? Times(x, other) : Times(other, x), errors = outputs ? Times(own, e) : Times(e, own);
        using Tensor ones = backend.Allocate(DType.F32, outputs ? x.Columns : x.Rows, 1);
        backend.Fill(ones, 1);
        Tensor right = backend.Allocate(DType.F32, size, 1), matrix = backend.Allocate(DType.F32, size, own is null ? 1 : size);
        backend.Multiply(weighted, errors);
        backend.MatMul(errors, !outputs, ones, false, right);
        if (own is not null)
        {
            Product(x, !outputs, weighted, outputs, matrix);
            backend.Multiply(own, matrix);
        }
        else
        {
            backend.Multiply(x, weighted);
            backend.MatMul(weighted, !outputs, ones, false, matrix);
        }
        return new Equations(backend, matrix, right);
    }

    private Tensor? Load(Metric metric, float[] scales, float one)
    {
        if (metric.Factor is not { } factor)
            return null;
        int n = factor.Rows;
        Tensor h = backend.Allocate(DType.F32, n, n);
        using Tensor damping = backend.Allocate(DType.F32, n, 1);
        double mean = Enumerable.Range(0, n).Average(i => factor.Row<float>(i)[i]);
        float[] squares = Array.ConvertAll(scales, s => s == 0 ? 0 : one / s * (one / s));
        backend.Upload<float>(factor.AsSpan<float>(), h);
        backend.Upload<float>(squares, damping);
        backend.Scale(1 / mean, h);
        backend.Axpy(metric.Damping, damping, h.Diagonal());
        return h;
    }

    // a · b, or a copy of the other where one is the identity.
    private Tensor Times(Tensor? a, Tensor? b)
    {
        Tensor result = backend.Allocate(DType.F32, (a ?? b)!.Rows, (b ?? a)!.Columns);
        if (a is null || b is null)
            backend.Convert((a ?? b)!, result);
        else
            Product(a, false, b, false, result);
        return result;
    }

    // Operands of the backend's activation type: δ needs two or three digits.
    private void Product(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        using Tensor? narrowA = Narrow(a), narrowB = Narrow(b);
        backend.MatMul(narrowA ?? a, transposeA, narrowB ?? b, transposeB, c);
    }

    private Tensor? Narrow(Tensor x)
    {
        if (x.Type == backend.ActivationType)
            return null;
        Tensor narrow = backend.Allocate(backend.ActivationType, x.Rows, x.Columns);
        backend.Convert(x, narrow);
        return narrow;
    }

    /// <summary>M δ = r, M (n, n) or, where it is diagonal, (n, 1). Takes over both.</summary>
    private sealed class Equations(IBackend backend, Tensor matrix, Tensor right) : IDisposable
    {
        private bool IsDiagonal => matrix.Columns == 1;

        /// <summary>δ; null if M is not positive definite. A channel of zeros keeps its scale.</summary>
        public double[]? Solve()
        {
            int n = matrix.Rows;
            if (IsDiagonal)
                return [.. Read(right).Zip(Read(matrix), (r, q) => q > 0 ? r / q : 0)];
            using Tensor root = backend.Allocate(DType.F64, n, n), diagonal = backend.Allocate(DType.F64, n, 1);
            backend.Convert(matrix, root);
            backend.Convert(root.Diagonal(), diagonal);
            backend.Axpy(Ridge, diagonal, root.Diagonal());
            if (backend.InverseRoot(root, out _) != 0)
                return null;
            using Tensor r = backend.Allocate(DType.F64, n, 1), half = backend.Allocate(DType.F64, n, 1), step = backend.Allocate(DType.F64, n, 1);
            backend.Convert(right, r);
            backend.MatMul(root, false, r, false, half);
            backend.MatMul(root, true, half, false, step);
            double[] result = new double[n];
            backend.Download<double>(step, result);
            return result;
        }

        /// <summary>δᵀ(2r − Mδ), by which a step lowers the loss.</summary>
        public double Fall(double[] step)
        {
            float[] r = Read(right), moved;
            if (IsDiagonal)
            {
                moved = [.. Read(matrix).Zip(step, (q, d) => (float)(q * d))];
            }
            else
            {
                using Tensor delta = backend.Allocate(DType.F32, step.Length, 1), product = backend.Allocate(DType.F32, step.Length, 1);
                backend.Upload<float>(Array.ConvertAll(step, d => (float)d), delta);
                backend.MatMul(matrix, false, delta, false, product);
                moved = Read(product);
            }
            double sum = 0;
            for (int i = 0; i < step.Length; i++)
                sum += step[i] * (2.0 * r[i] - moved[i]);
            return sum;
        }

        public void Dispose()
        {
            matrix.Dispose();
            right.Dispose();
        }

        private float[] Read(Tensor vector)
        {
            float[] values = new float[vector.Length];
            backend.Download<float>(vector, values);
            return values;
        }
    }
}
