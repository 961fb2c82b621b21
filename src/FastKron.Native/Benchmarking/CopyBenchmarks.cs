using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Copies and type changes of 256 MB.</summary>
internal static class CopyBenchmarks
{
    private const int Rows = 16384, Columns = 4096, Gap = 1024;

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        yield return Convert(backend, "copy/f32", DType.F32, DType.F32, Columns);
        yield return Convert(backend, "copy/bf16", DType.BF16, DType.BF16, 2 * Columns);
        yield return Convert(backend, "copy/f64", DType.F64, DType.F64, Columns / 2);
        (Tensor gaps, Tensor packed) = (BenchmarkData.Normal(backend, DType.BF16, 2 * Rows, Columns + Gap), backend.Allocate(DType.BF16, 2 * Rows, Columns));
        Tensor strided = gaps.SliceColumns(0, Columns);
        yield return new TimedOperation("copy/bf16-strided", BenchmarkUnit.GigabytesPerSecond, () => backend.Convert(strided, packed), gaps, packed) { Bytes = 2 * packed.Bytes };
        yield return Convert(backend, "convert/f32-bf16", DType.F32, DType.BF16, Columns);
        yield return Convert(backend, "convert/bf16-f32", DType.BF16, DType.F32, Columns);
        yield return Convert(backend, "convert/f32-f16", DType.F32, DType.F16, Columns);
        yield return Convert(backend, "convert/f16-f32", DType.F16, DType.F32, Columns);
        yield return Convert(backend, "convert/f32-f64", DType.F32, DType.F64, Columns / 2);
        yield return Convert(backend, "convert/f64-f32", DType.F64, DType.F32, Columns / 2);
        yield return Convert(backend, "convert/f64-bf16", DType.F64, DType.BF16, Columns / 2);
        yield return Convert(backend, "convert/bf16-f16", DType.BF16, DType.F16, 2 * Columns);
        yield return Fill(backend, "fill/bf16", DType.BF16, 2 * Columns);
        yield return Fill(backend, "fill/f32", DType.F32, Columns);
        yield return Fill(backend, "fill/f64", DType.F64, Columns / 2);
    }

    private static TimedOperation Fill(IBackend backend, string name, DType type, int columns)
    {
        Tensor filled = backend.Allocate(type, Rows, columns);
        return new TimedOperation(name, BenchmarkUnit.GigabytesPerSecond, () => backend.Fill(filled, 1), filled) { Bytes = filled.Bytes };
    }

    private static TimedOperation Convert(IBackend backend, string name, DType from, DType to, int columns)
    {
        Tensor source = BenchmarkData.Normal(backend, from, Rows, columns), destination = backend.Allocate(to, Rows, columns);
        return new TimedOperation(name, BenchmarkUnit.GigabytesPerSecond, () => backend.Convert(source, destination), source, destination) { Bytes = source.Bytes + destination.Bytes };
    }
}
