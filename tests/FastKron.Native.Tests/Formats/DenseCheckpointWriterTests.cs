using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class DenseCheckpointWriterTests : IDisposable
{
    private const string Up = "model.layers.2.mlp.up_proj";

    private readonly TemporaryFolder _folder = new();
    private readonly CpuBackend _backend = new();

    private string Output => _folder.File("output");

    public void Dispose()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [TestCase(1)]
    [TestCase(5)]
    public void Complete_GivenRows_RoundsThemAndCopiesTheRest(int pieces)
    {
        using ModelFolder source = ModelFolder.Open(SharedData.Model("tiny-llama"));
        using Tensor weight = Tensor.AllocateHost(DType.F32, 768, 256);
        for (int i = 0; i < weight.Length; i++)
            weight.AsSpan<float>()[i] = MathF.Sin(i);
        using (var writer = DenseCheckpointWriter.Create(source, _backend, Output, [Up]))
        {
            int rows = (768 + pieces - 1) / pieces;
            for (int row = 0; row < 768; row += rows)
                writer.Write(Up, weight.SliceRows(row, Math.Min(rows, 768 - row)));
            writer.Complete(new JsonObject { ["seed"] = 1 });
        }

        using ModelFolder read = ModelFolder.Open(Output);
        Assert.That(read.TensorNames, Is.EqualTo(source.TensorNames));
        foreach (string name in source.TensorNames.Where(name => name != Up + ".weight"))
            Assert.That(read.RawBytes(name).SequenceEqual(source.RawBytes(name)), name);
        ushort[] expected = [.. weight.AsSpan<float>().ToArray().Select(x => BFloat16.FromSingle(x).Bits)];
        Assert.That(MemoryMarshal.Cast<byte, ushort>(read.RawBytes(Up + ".weight")).SequenceEqual(expected));
        Assert.That(File.ReadAllText(Path.Combine(Output, "config.json")), Is.EqualTo(File.ReadAllText(Path.Combine(source.Path, "config.json"))));
        Assert.That(() => CheckpointManifest.Verify(Output), Throws.Nothing);
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo(new[] { Output }));
    }

    [Test]
    public void Complete_SingleSource_BecomesBFloat16Throughout()
    {
        using ModelFolder source = ModelFolder.Open(SharedData.Path("models/stories260K_hf"));
        using (var writer = DenseCheckpointWriter.Create(source, _backend, Output, [], shardBytes: 100_000))
            writer.Complete([]);

        using ModelFolder read = ModelFolder.Open(Output);
        Assert.That(Directory.GetFiles(Output, "*.safetensors"), Has.Length.GreaterThan(3));
        Assert.That(read.Config.TensorType, Is.EqualTo("bfloat16"));
        Assert.That(read.TensorNames, Is.EqualTo(source.TensorNames));
        foreach (string name in source.TensorNames)
        {
            ushort[] expected = [.. MemoryMarshal.Cast<byte, float>(source.RawBytes(name)).ToArray().Select(x => BFloat16.FromSingle(x).Bits)];
            Assert.That(read.Describe(name), Is.EqualTo(new SafetensorsTensor(name, SafetensorsType.BF16, source.Describe(name).Shape)).Using<SafetensorsTensor>((a, b) => a.ToString() == b.ToString()));
            Assert.That(MemoryMarshal.Cast<byte, ushort>(read.RawBytes(name)).SequenceEqual(expected), name);
        }
    }

    [Test]
    public void Complete_ConfigWithoutType_DeclaresIt()
    {
        using ModelFolder source = ModelFolder.Open(SharedData.Path("models/tiny_qwen3_mlxd"));
        using (var writer = DenseCheckpointWriter.Create(source, _backend, Output, []))
            writer.Complete([]);
        Assert.That(JsonNode.Parse(File.ReadAllBytes(Path.Combine(Output, "config.json")))!["torch_dtype"]!.GetValue<string>(), Is.EqualTo("bfloat16"));
    }

    [Test]
    public void Write_WhatDoesNotFit_IsRefusedByNameAndLeavesNothing()
    {
        using ModelFolder source = ModelFolder.Open(SharedData.Model("tiny-llama"));
        using Tensor weight = Tensor.AllocateHost(DType.F32, 768, 256), transposed = Tensor.AllocateHost(DType.F32, 256, 768), longer = Tensor.AllocateHost(DType.F32, 769, 256);
        weight.AsSpan<float>().Clear();
        Assert.That(() => DenseCheckpointWriter.Create(source, _backend, Output, ["nothing"]), Throws.ArgumentException.With.Message.Contains("nothing.weight"));
        using (var writer = DenseCheckpointWriter.Create(source, _backend, Output, [Up]))
        {
            Assert.That(() => writer.Write("model.layers.2.mlp.gate_proj", weight), Throws.ArgumentException.With.Message.Contains("gate_proj"));
            Assert.That(() => writer.Write(Up, transposed), Throws.ArgumentException.With.Message.Contains(Up));
            Assert.That(() => writer.Write(Up, longer), Throws.ArgumentException.With.Message.Contains("at most 768 rows"));
            weight.Row<float>(700)[3] = float.NaN;
            Assert.That(() => writer.Write(Up, weight), Throws.ArgumentException.With.Message.Contains("row 700, column 3"));
            Assert.That(() => writer.Complete([]), Throws.InvalidOperationException.With.Message.Contains(Up));
        }
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }
}
