using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ModelFolderTests : IDisposable
{
    private const string Gate = "model.layers.1.mlp.gate_proj.weight", Norm = "model.norm.weight";

    private readonly TemporaryFolder _folder = new();
    private readonly CpuBackend _backend = new();

    private string Copy => _folder.File("copy");

    public void Dispose()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void Load_BFloat16_GivesTheStoredNumbersInEveryType()
    {
        using ModelFolder folder = ModelFolder.Open(SharedData.Model("tiny-llama"));
        float[] expected = [.. MemoryMarshal.Cast<byte, BFloat16>(folder.RawBytes(Gate)).ToArray().Select(x => x.ToSingle())];
        Assert.That(expected, Has.Length.EqualTo(768 * 256).And.Some.Not.Zero);
        using Tensor single = folder.Load(_backend, Gate, 768, 256, DType.F32);
        Assert.That(single.AsSpan<float>().SequenceEqual(expected));
        using Tensor same = folder.Load(_backend, Gate, 768, 256, DType.BF16);
        Assert.That(MemoryMarshal.AsBytes(same.AsSpan<BFloat16>()).SequenceEqual(folder.RawBytes(Gate)));
        using Tensor half = folder.Load(_backend, Gate, 768, 256, DType.F16);
        Assert.That(half.AsSpan<Half>().ToArray(), Is.EqualTo(expected.Select(x => (Half)x)));
    }

    [TestCase("vocab_size", 100, "model.embed_tokens.weight: found shape (2048, 256), expected (100, 256)")]
    [TestCase("intermediate_size", 512, "model.layers.0.mlp.gate_proj.weight: found shape (768, 256), expected (512, 256)")]
    [TestCase("num_hidden_layers", 5, "found no tensor model.layers.4.self_attn.q_proj.weight")]
    public void RequireDenseShapes_ConfigurationOfAnotherModel_NamesTheTensor(string field, int value, string message)
    {
        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, (tensor, bytes) => (tensor, bytes));
        string path = Path.Combine(Copy, "config.json");
        JsonNode config = JsonNode.Parse(File.ReadAllText(path))!;
        config[field] = value;
        File.WriteAllText(path, config.ToJsonString());
        using ModelFolder original = ModelFolder.Open(SharedData.Model("tiny-llama")), folder = ModelFolder.Open(Copy);
        Assert.That(original.RequireDenseShapes, Throws.Nothing);
        Assert.That(folder.RequireDenseShapes, Throws.TypeOf<InvalidDataException>().With.Message.Contains(message));
    }

    [TestCase("F32")]
    [TestCase("F16")]
    public void Load_OtherTypes_GivesTheStoredNumbers(string type)
    {
        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, (tensor, bytes) => tensor.Name == Norm ? Retype(tensor, bytes, type, null) : (tensor, bytes));
        using ModelFolder original = ModelFolder.Open(SharedData.Model("tiny-llama")), folder = ModelFolder.Open(Copy);
        using Tensor expected = original.Load(_backend, Norm, 1, 256, DType.F32), found = folder.Load(_backend, Norm, 1, 256, DType.F32);
        Assert.That(found.AsSpan<float>().SequenceEqual(expected.AsSpan<float>()));
    }

    [TestCase("F32", float.NaN, "NaN")]
    [TestCase("F32", float.PositiveInfinity, "∞")]
    [TestCase("F16", float.NegativeInfinity, "-∞")]
    [TestCase("BF16", float.NaN, "NaN")]
    public void Load_NotFinite_NamesFileTensorAndIndex(string type, float value, string shown)
    {
        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, (tensor, bytes) => tensor.Name == Norm ? Retype(tensor, bytes, type, value) : (tensor, bytes));
        using ModelFolder folder = ModelFolder.Open(Copy);
        Assert.That(
            () => folder.Load(_backend, Norm, 1, 256, DType.F32),
            Throws.TypeOf<InvalidDataException>().With.Message.Contains($"model.safetensors: {Norm}[0, 200]: found {shown.Replace("∞", "Infinity", StringComparison.Ordinal)}"));
    }

    [TestCase("F32", 65520f, DType.F16)]
    [TestCase("BF16", 65536f, DType.F16)]
    [TestCase("F32", 3.4e38f, DType.BF16)]
    public void Load_TooLargeForTheType_IsRefused(string type, float value, DType read)
    {
        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, (tensor, bytes) => tensor.Name == Norm ? Retype(tensor, bytes, type, value) : (tensor, bytes));
        using ModelFolder folder = ModelFolder.Open(Copy);
        Assert.That(() => folder.Load(_backend, Norm, 1, 256, read), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"finite in {read}"));
        Assert.That(() => folder.Load(_backend, Norm, 1, 256, DType.F32).Dispose(), Throws.Nothing);
    }

    [Test]
    public void Load_MatrixOfSeveralChunks_NamesTheRowOfABadNumber()
    {
        const int Rows = 4500, Columns = 4096;              // three chunks of 16 MiB
        byte[] bytes = new byte[2 * Rows * Columns];
        Span<BFloat16> values = MemoryMarshal.Cast<byte, BFloat16>(bytes.AsSpan());
        for (int row = 0; row < Rows; row++)
            values.Slice(row * Columns, Columns).Fill(BFloat16.FromSingle(row));
        string name = "model.embed_tokens.weight";
        Func<SafetensorsTensor, byte[], (SafetensorsTensor, byte[])?> change =
            (tensor, old) => tensor.Name == name ? (new SafetensorsTensor(name, SafetensorsType.BF16, [Rows, Columns]), bytes) : null;

        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, change);
        using (ModelFolder folder = ModelFolder.Open(Copy))
        using (Tensor loaded = folder.Load(_backend, name, Rows, Columns, DType.F32))
        {
            for (int row = 0; row < Rows; row += 499)
                Assert.That(loaded.Row<float>(row)[Columns - 1], Is.EqualTo(BFloat16.FromSingle(row).ToSingle()));
        }
        values[4321 * Columns + 17] = BFloat16.FromSingle(float.NaN);
        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, change);
        using ModelFolder damaged = ModelFolder.Open(Copy);
        Assert.That(() => damaged.Load(_backend, name, Rows, Columns, DType.F32), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"{name}[4321, 17]"));
    }

    [Test]
    public void Load_WrongShapeNameOrType_NamesWhatItFound()
    {
        ModelFiles.Copy(SharedData.Model("tiny-llama"), Copy, (tensor, bytes) => tensor.Name == Norm ? (new SafetensorsTensor(Norm, SafetensorsType.I16, [256]), bytes) : (tensor, bytes));
        using ModelFolder folder = ModelFolder.Open(Copy);
        long before = HostMemory.OutstandingBytes;
        Assert.Multiple(() =>
        {
            Assert.That(() => folder.Load(_backend, Gate, 256, 768, DType.F32), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"{Gate}: found shape (768, 256), expected (256, 768)"));
            Assert.That(() => folder.Load(_backend, Gate, 1, 768 * 256, DType.F32), Throws.TypeOf<InvalidDataException>());
            Assert.That(() => folder.Load(_backend, "nothing", 1, 1, DType.F32), Throws.TypeOf<InvalidDataException>().With.Message.Contains("no tensor nothing").And.Message.Contains(Copy));
            Assert.That(() => folder.Load(_backend, Norm, 1, 256, DType.F32), Throws.TypeOf<InvalidDataException>().With.Message.Contains("type I16"));
        });
        Assert.That(HostMemory.OutstandingBytes, Is.EqualTo(before));
    }

    [Test]
    public void Open_Shards_AreTheSameModel()
    {
        ModelFiles.CopySharded(SharedData.Model("tiny-llama"), Copy, shards: 3);
        using ModelFolder original = ModelFolder.Open(SharedData.Model("tiny-llama")), sharded = ModelFolder.Open(Copy);
        Assert.That(sharded.TensorNames, Is.EqualTo(original.TensorNames).And.Ordered.Using((IComparer<string>)StringComparer.Ordinal));
        foreach (string name in original.TensorNames)
            Assert.That(sharded.RawBytes(name).SequenceEqual(original.RawBytes(name)), name);
    }

    [TestCase("../model-1.safetensors")]
    [TestCase("/model-1.safetensors")]
    [TestCase("sub/model-1.safetensors")]
    [TestCase("..\\model-1.safetensors")]
    [TestCase("C:model-1.safetensors")]
    [TestCase("..")]
    [TestCase("")]
    public void Open_ShardOutsideTheFolder_IsRefused(string shard)
    {
        ModelFiles.CopySharded(SharedData.Model("tiny-llama"), Copy, shards: 2);
        File.Copy(Path.Combine(Copy, ModelFiles.ShardName(1)), _folder.File("model-1.safetensors"));
        AssertIndexRefused(map => map[Norm] = shard, "plain name");
    }

    [Test]
    public void Open_IndexThatDisagreesWithTheShards_NamesTheTensor()
    {
        ModelFiles.CopySharded(SharedData.Model("tiny-llama"), Copy, shards: 2);
        AssertIndexRefused(map => map[Norm] = map[Norm]!.GetValue<string>() == ModelFiles.ShardName(0) ? ModelFiles.ShardName(1) : ModelFiles.ShardName(0), Norm);
        AssertIndexRefused(map => map.Remove(Norm), Norm);
        AssertIndexRefused(map => map["nothing.weight"] = ModelFiles.ShardName(0), "nothing.weight");
        AssertIndexRefused(map => map[Norm] = "model-7.safetensors", "model-7.safetensors");
        AssertIndexRefused(map => map[Norm] = 7, "weight_map");
    }

    [Test]
    public void Open_TensorInTwoShards_NamesBoth()
    {
        ModelFiles.CopySharded(SharedData.Model("tiny-llama"), Copy, shards: 2);
        File.Copy(Path.Combine(Copy, ModelFiles.ShardName(0)), Path.Combine(Copy, "model-2.safetensors"));
        AssertIndexRefused(map => map["again"] = "model-2.safetensors", "model-0.safetensors");
    }

    [TestCase("{}")]
    [TestCase("[]")]
    [TestCase("{\"weight_map\": []}")]
    [TestCase("{\"weight_map\": {\"a\": \"b\", \"a\": \"b\"}}")]
    [TestCase("{\"weight_map\": {\"a\": null}}")]
    [TestCase("{\"weight_map\": {\"a\": \"\\ud800\"}}")]
    [TestCase("{\"weight_map\": ")]
    [TestCase("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")]
    public void Open_BadIndex_NamesIt(string index)
    {
        ModelFiles.CopySharded(SharedData.Model("tiny-llama"), Copy, shards: 2);
        File.WriteAllText(Path.Combine(Copy, "model.safetensors.index.json"), index);
        Assert.That(() => ModelFolder.Open(Copy), Throws.TypeOf<InvalidDataException>().With.Message.Contains("model.safetensors.index.json"));
    }

    [Test]
    public void Open_NoFolderConfigOrWeights_SaysWhichIsMissing()
    {
        Assert.That(() => ModelFolder.Open(Copy), Throws.TypeOf<InvalidDataException>().With.Message.Contains("no such folder"));
        Directory.CreateDirectory(Copy);
        Assert.That(() => ModelFolder.Open(Copy), Throws.TypeOf<InvalidDataException>().With.Message.Contains("config.json"));
        File.Copy(Path.Combine(SharedData.Model("tiny-llama"), "config.json"), Path.Combine(Copy, "config.json"));
        Assert.That(() => ModelFolder.Open(Copy), Throws.TypeOf<InvalidDataException>().With.Message.Contains("model.safetensors"));
    }

    private static (SafetensorsTensor, byte[]) Retype(SafetensorsTensor tensor, byte[] bytes, string type, float? number200)
    {
        float[] values = [.. MemoryMarshal.Cast<byte, BFloat16>(bytes).ToArray().Select(x => x.ToSingle())];
        values[200] = number200 ?? values[200];
        byte[] stored = type switch
        {
            "F32" => MemoryMarshal.AsBytes<float>(values).ToArray(),
            "F16" => MemoryMarshal.AsBytes<Half>(values.Select(x => (Half)x).ToArray()).ToArray(),
            _ => MemoryMarshal.AsBytes<BFloat16>(values.Select(BFloat16.FromSingle).ToArray()).ToArray(),
        };
        return (new SafetensorsTensor(tensor.Name, SafetensorsType.Find(type)!, tensor.Shape), stored);
    }

    private void AssertIndexRefused(Action<JsonObject> change, string named)
    {
        JsonObject original = ModelFiles.ReadIndex(Copy), changed = original.DeepClone().AsObject();
        change(changed);
        ModelFiles.WriteIndex(Copy, changed);
        Assert.That(() => ModelFolder.Open(Copy), Throws.TypeOf<InvalidDataException>().With.Message.Contains(named));
        ModelFiles.WriteIndex(Copy, original);
    }
}
