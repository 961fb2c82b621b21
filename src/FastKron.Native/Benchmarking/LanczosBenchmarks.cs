using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Orthogonalisation of a Lanczos vector against a basis, beside dot products and updates one after the other; a whole step, beside its two half-steps.</summary>
internal static class LanczosBenchmarks
{
    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        (int order, int[] counts) = backend.IsHost ? (576, [12]) : (4096, new[] { 4, 12, 34 });
        foreach (int count in counts)
            yield return Orthogonalize(backend, order, count);
        yield return backend.IsHost ? Step(backend, order, gradients: 16, counts[^1]) : Step(backend, order, gradients: 75, count: 12);
    }

    // As LanczosSolver extends both bases once.
    private static TimedOperation Step(IBackend backend, int order, int gradients, int count)
    {
        Tensor stack = BenchmarkData.Normal(backend, DType.BF16, order, gradients * order), v = BenchmarkData.Normal(backend, DType.F32, order, order, 1e-3f / order);
        Tensor u = backend.Allocate(DType.F32, order, order), next = backend.Allocate(DType.F32, order, order);
        Tensor[] basis = [.. Enumerable.Range(0, count).Select(_ => BenchmarkData.Normal(backend, DType.F32, order, order, 1e-3f / order))];
        return new TimedOperation($"step/{order}x{order}/K{gradients}/{count}", BenchmarkUnit.Milliseconds, () => Both(extend: true), [stack, v, u, next, .. basis])
        {
            Bytes = 2.0 * stack.Bytes + 2 * (3.0 * count + 5) * v.Bytes,
            Flops = 2 * 3.0 * gradients * order * order * (double)order,
            Rival = "its two half-steps",
            RunRival = () => Both(extend: false),
        };

        void Both(bool extend)
        {
            Half(KroneckerSide.Rows, v, u, extend);
            Half(KroneckerSide.Columns, u, next, extend);
        }

        void Half(KroneckerSide side, Tensor source, Tensor result, bool extend)
        {
            backend.KroneckerApply(stack, gradients, side, source, result);
            if (extend)
                backend.Scale(1 / backend.Orthogonalize(basis, result), result);
        }
    }

    // Three readings of the basis are enough for two passes. The vectors are short, so that repeating the operation changes x little.
    private static TimedOperation Orthogonalize(IBackend backend, int order, int count)
    {
        Tensor x = BenchmarkData.Normal(backend, DType.F32, order, order);
        Tensor[] basis = [.. Enumerable.Range(0, count).Select(_ => BenchmarkData.Normal(backend, DType.F32, order, order, 1e-3f / order))];
        return new TimedOperation($"orthogonalize/{order}x{order}/{count}", BenchmarkUnit.GigabytesPerSecond, () => backend.Orthogonalize(basis, x), [x, .. basis])
        {
            Bytes = (3.0 * count + 5) * x.Bytes,
            Flops = 8.0 * count * x.Length,
            Rival = "dot products and updates",
            RunRival = OneByOne,
        };

        void OneByOne()
        {
            double[] coefficients = new double[count];
            for (int pass = 0; pass < 2; pass++)
            {
                for (int i = 0; i < count; i++)
                    coefficients[i] = backend.Dot(basis[i], x);
                for (int i = 0; i < count; i++)
                    backend.Axpy(-coefficients[i], basis[i], x);
            }
        }
    }
}
