using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>The memory-bound operations of a block's forward and backward pass, 256 MB a tensor.</summary>
internal static class ElementwiseBenchmarks
{
    private const int Tokens = 32768, Hidden = 4096, HeadDimension = 128, Positions = 2048, Vocabulary = 32768;
    private const float Epsilon = 1e-5f;

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        DType type = backend.ActivationType;
        Tensor Matrix() => BenchmarkData.Normal(backend, type, Tokens, Hidden);
        Tensor Empty() => backend.Allocate(type, Tokens, Hidden);
        double matrix = (double)Tokens * Hidden * type.Size();

        Tensor x = Matrix(), y = Empty(), weight = BenchmarkData.Normal(backend, DType.F32, 1, Hidden);
        yield return Case("rms-norm", 2 * matrix, () => backend.RmsNorm(x, weight, Epsilon, y), x, y, weight);

        (Tensor dy, Tensor input, Tensor dx, Tensor normWeight) = (Matrix(), Matrix(), Empty(), BenchmarkData.Normal(backend, DType.F32, 1, Hidden));
        yield return Case("rms-norm-backward", 3 * matrix, () => backend.RmsNormBackward(dy, input, normWeight, Epsilon, dx, accumulate: false), dy, input, dx, normWeight);

        (Tensor dy2, Tensor input2, Tensor dx2, Tensor weight2) = (Matrix(), Matrix(), Matrix(), BenchmarkData.Normal(backend, DType.F32, 1, Hidden));
        yield return Case("rms-norm-backward-add", 4 * matrix, () => backend.RmsNormBackward(dy2, input2, weight2, Epsilon, dx2, accumulate: true), dy2, input2, dx2, weight2);

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

        Tensor scaled = BenchmarkData.Normal(backend, DType.F32, Tokens / 2, Hidden);
        yield return Case("scale/f32", 2 * scaled.Bytes, () => backend.Scale(-1, scaled), scaled);

        (Tensor ids, Tensor table, Tensor embedded) = (BenchmarkData.Indices(backend, Tokens, Vocabulary), BenchmarkData.Normal(backend, type, Vocabulary, Hidden), Empty());
        yield return Case("embedding", 2 * matrix, () => backend.Embedding(ids, table, embedded), ids, table, embedded);
    }

    private static TimedOperation Case(string name, double bytes, Action run, params IDisposable[] data) =>
        new($"{name}/256MB", BenchmarkUnit.GigabytesPerSecond, run, data) { Bytes = bytes };
}
