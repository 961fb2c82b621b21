using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>The memory-bound operations of a block's forward and backward pass, 256 MB a tensor.</summary>
internal static class ElementwiseBenchmarks
{
    private const int Tokens = 32768, Hidden = 4096, HeadDimension = 128, Positions = 2048, Vocabulary = 32768;
    private const int HeadGroups = 256;
    private const float Epsilon = 1e-5f;

    private static readonly int[] NormGroups = [128, 576, 1024, 2048, 4096, 8192];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        DType type = backend.ActivationType;
        Tensor Matrix() => BenchmarkData.Normal(backend, type, Tokens, Hidden);
        Tensor Empty() => backend.Allocate(type, Tokens, Hidden);
        double matrix = (double)Tokens * Hidden * type.Size();

        foreach (int group in NormGroups)
        {
            // Groups of a row are normalised apart, as queries and keys are in Qwen-3; a whole row otherwise.
            int columns = group < HeadGroups ? Hidden : group, rows = (int)((long)Tokens * Hidden / columns);
            Tensor Norms(float scale) => BenchmarkData.Normal(backend, type, rows, columns, scale);
            double bytes = (double)rows * columns * type.Size();
            (Tensor x, Tensor weight, Tensor y) = (Norms(1), BenchmarkData.Normal(backend, DType.F32, 1, group), backend.Allocate(type, rows, columns));
            yield return Case($"rms-norm/{group}", 2 * bytes, () => backend.RmsNorm(x, weight, Epsilon, y), x, weight, y);

            (Tensor dy, Tensor x2, Tensor weight2, Tensor dx) = (Norms(1), Norms(1), BenchmarkData.Normal(backend, DType.F32, 1, group), backend.Allocate(type, rows, columns));
            yield return Case($"rms-norm-backward/{group}", 3 * bytes, () => backend.RmsNormBackward(dy, x2, weight2, Epsilon, dx, accumulate: false), dy, x2, weight2, dx);

            (Tensor dy3, Tensor x3, Tensor weight3, Tensor sum) = (Norms(0), Norms(1), BenchmarkData.Normal(backend, DType.F32, 1, group), Norms(1));
            yield return Case($"rms-norm-backward-add/{group}", 4 * bytes, () => backend.RmsNormBackward(dy3, x3, weight3, Epsilon, sum, accumulate: true), dy3, x3, weight3, sum);
        }

        Tensor heads = Matrix(), positions = BenchmarkData.Indices(backend, Tokens, Positions);
        Tensor cosines = BenchmarkData.Normal(backend, DType.F32, Positions, HeadDimension / 2), sines = BenchmarkData.Normal(backend, DType.F32, Positions, HeadDimension / 2);
        yield return Case("rotary", 2 * matrix, () => backend.Rotary(heads, positions, cosines, sines, HeadDimension, inverse: false), heads, positions, cosines, sines);

        (Tensor gate, Tensor up, Tensor gated) = (Matrix(), Matrix(), Empty());
        yield return Case("swiglu", 3 * matrix, () => backend.SwiGlu(gate, up, gated), gate, up, gated);

        (Tensor dGated, Tensor gate2, Tensor up2, Tensor dGate, Tensor dUp) = (Matrix(), Matrix(), Matrix(), Empty(), Empty());
        yield return Case("swiglu-backward", 5 * matrix, () => backend.SwiGluBackward(dGated, gate2, up2, dGate, dUp), dGated, gate2, up2, dGate, dUp);

        (Tensor branch, Tensor residual) = (BenchmarkData.Normal(backend, type, Tokens, Hidden, scale: 0), Matrix());
        yield return Case("add", 3 * matrix, () => backend.Add(branch, residual), branch, residual);

        (Tensor axpyX, Tensor axpyY) = (BenchmarkData.Normal(backend, DType.F32, Tokens / 2, Hidden), BenchmarkData.Normal(backend, DType.F32, Tokens / 2, Hidden));
        yield return Case("axpy/f32", 3 * axpyX.Bytes, () => backend.Axpy(1e-3, axpyX, axpyY), axpyX, axpyY);

        (Tensor wideX, Tensor wideY) = (BenchmarkData.Normal(backend, DType.F64, Tokens / 4, Hidden), BenchmarkData.Normal(backend, DType.F64, Tokens / 4, Hidden));
        yield return Case("axpy/f64", 3 * wideX.Bytes, () => backend.Axpy(1e-3, wideX, wideY), wideX, wideY);

        Tensor scaled = BenchmarkData.Normal(backend, DType.F32, Tokens / 2, Hidden);
        yield return Case("scale/f32", 2 * scaled.Bytes, () => backend.Scale(-1, scaled), scaled);

        Tensor wideScaled = BenchmarkData.Normal(backend, DType.F64, Tokens / 4, Hidden);
        yield return Case("scale/f64", 2 * wideScaled.Bytes, () => backend.Scale(-1, wideScaled), wideScaled);

        (Tensor ids, Tensor table, Tensor embedded) = (BenchmarkData.Indices(backend, Tokens, Vocabulary), BenchmarkData.Normal(backend, type, Vocabulary, Hidden), Empty());
        yield return Case("embedding", 2 * matrix, () => backend.Embedding(ids, table, embedded), ids, table, embedded);
    }

    private static TimedOperation Case(string name, double bytes, Action run, params IDisposable[] data) =>
        new($"{name}/256MB", BenchmarkUnit.GigabytesPerSecond, run, data) { Bytes = bytes };
}
