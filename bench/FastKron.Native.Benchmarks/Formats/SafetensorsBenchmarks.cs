using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Benchmarks.Formats;

/// <summary>Reading a bf16 model file from the page cache: opening checks the header, loading converts every matrix to float32 and checks that it is finite.</summary>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class SafetensorsBenchmarks : IDisposable
{
    private const int Matrices = 16, Rows = 1024, ColumnsOfMatrix = 1024;

    private readonly CpuBackend _backend = new();
    private string _path = "";

    [GlobalSetup]
    public void Setup()
    {
        _path = Path.Combine(Directory.CreateTempSubdirectory("fastkron-bench-").FullName, "model.safetensors");
        SafetensorsTensor[] tensors = [.. Enumerable.Range(0, Matrices).Select(i => new SafetensorsTensor($"matrix.{i}", SafetensorsType.BF16, [Rows, ColumnsOfMatrix]))];
        using SafetensorsWriter writer = SafetensorsWriter.Create(_path, tensors);
        byte[] bytes = new byte[tensors[0].Bytes];
        foreach (SafetensorsTensor tensor in tensors)
            writer.Write(tensor.Name, bytes);
        writer.Commit();
    }

    [Benchmark]
    public long OpenAndReadBytes()
    {
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        long sum = 0;
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            foreach (long word in System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(file.Bytes(tensor.Name)))
                sum += word;
        }
        return sum;
    }

    [Benchmark]
    public unsafe void OpenAndConvert()
    {
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        using Tensor wide = _backend.Allocate(DType.F32, Rows, ColumnsOfMatrix);
        foreach (SafetensorsTensor tensor in file.Tensors)
            _backend.Convert(new Tensor(null, file.Address(tensor.Name), isHost: true, DType.BF16, Rows, ColumnsOfMatrix, ColumnsOfMatrix), wide);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);
        _backend.Dispose();
        GC.SuppressFinalize(this);
    }

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("GB/s", _ => Matrices * Rows * ColumnsOfMatrix * 2 / 1e9));
    }
}
