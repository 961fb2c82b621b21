using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class QuantizedCheckpointTests : IDisposable
{
    private const string Gate = "model.layers.1.mlp.gate_proj";
    private static readonly string[] Skip = ["0_q", "3_down"];

    private readonly TemporaryFolder _folder = new();
    private readonly ModelFolder _source = ModelFolder.Open(SharedData.Model("tiny-qwen3"));

    private string Output => _folder.File("output");

    public void Dispose()
    {
        _source.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void Complete_EveryRate_ReadsBackWhatWasWritten([Values(2, 3, 4)] int bits)
    {
        QuantizedWeights[] linears = [.. Linears(bits)];
        Write(Output, bits, linears);

        using ModelFolder read = ModelFolder.Open(Output);
        Assert.That(read.Config.Quantization, Is.EqualTo(new QuantizationParameters(bits, 2, "quantlut_sym", 9, Skip)).Using<QuantizationParameters>(
            (a, b) => a with { SkipList = b.SkipList } == b && a.SkipList.SequenceEqual(b.SkipList)));
        foreach (QuantizedWeights linear in linears)
        {
            QuantizedWeights back = QuantizedCheckpoint.Read(read, linear.Name, linear.Rows, linear.Columns);
            Assert.That(back.Codes, Is.EqualTo(linear.Codes), linear.Name);
            Assert.That(back.InputScale, Is.EqualTo(linear.InputScale), linear.Name);
            Assert.That(back.OutputScale, Is.EqualTo(linear.OutputScale), linear.Name);
            Assert.That((back.Codebook, back.Layout), Is.EqualTo((linear.Codebook, TrellisLayout.QtipKernel)), linear.Name);
            Assert.That(read.Contains(linear.Name + ".weight"), Is.False);
        }
        string[] dense = [.. _source.TensorNames.Where(name => !linears.Any(linear => name == linear.Name + ".weight"))];
        Assert.That(dense, Does.Contain("model.layers.0.self_attn.q_proj.weight").And.Contains("lm_head.weight").And.Contains("model.layers.2.self_attn.k_norm.weight"));
        foreach (string name in dense)
            Assert.That(read.RawBytes(name).SequenceEqual(_source.RawBytes(name)), name);
        Assert.That(read.TensorNames, Has.Count.EqualTo(dense.Length + 6 * linears.Length));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo(new[] { Output }));
    }

    [Test]
    public void Complete_Tensors_HaveQtipsTypesAndShapes()
    {
        Write(Output, 3, Linears(3));
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Output, "model.safetensors"));
        Assert.Multiple(() =>
        {
            Assert.That(file.Tensor(Gate + ".trellis").ToString(), Is.EqualTo(Gate + ".trellis (640, 48) I16"));      // 640 · 256 weights in tiles of 16 · 16
            Assert.That(file.Tensor(Gate + ".SU").ToString(), Is.EqualTo(Gate + ".SU (256) BF16"));
            Assert.That(file.Tensor(Gate + ".SV").ToString(), Is.EqualTo(Gate + ".SV (640) F32"));
            Assert.That(file.Tensor(Gate + ".tlut").ToString(), Is.EqualTo(Gate + ".tlut (512, 2) F16"));
            Assert.That(file.Tensor(Gate + ".rcp").ToString(), Is.EqualTo(Gate + ".rcp () I64"));
            Assert.That(file.Tensor(Gate + ".tp_rank").ToString(), Is.EqualTo(Gate + ".tp_rank () I64"));
            Assert.That(BitConverter.ToInt64(file.Bytes(Gate + ".rcp")), Is.Zero);
            Assert.That(BitConverter.ToInt64(file.Bytes(Gate + ".tp_rank")), Is.EqualTo(8));
            Assert.That(file.Metadata["format"], Is.EqualTo("pt"));
        });
    }

    [Test]
    public void Complete_Config_IsTheOriginalWithParametersBehind()
    {
        Write(Output, 2, Linears(2));
        JsonObject original = JsonNode.Parse(File.ReadAllBytes(Path.Combine(_source.Path, "config.json")))!.AsObject();
        JsonObject written = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Output, "config.json")))!.AsObject();
        Assert.That(written.Select(pair => pair.Key), Is.EqualTo(original.Select(pair => pair.Key).Append("quip_params")));
        foreach ((string key, JsonNode? value) in original)
            Assert.That(written[key]?.ToJsonString(), Is.EqualTo(value?.ToJsonString()), key);      // numbers keep their spelling
        Assert.That(written["quip_params"]!.ToJsonString(), Is.EqualTo(
            """{"codebook":"bitshift","codebook_version":0,"L":16,"K":2,"V":2,"tlut_bits":9,"decode_mode":"quantlut_sym","td_x":16,"td_y":16,"split_for_tp":false,"skip_list":["0_q","3_down"]}"""));
        foreach (string file in new[] { "tokenizer.json", "tokenizer_config.json", "generation_config.json" })
            Assert.That(File.ReadAllBytes(Path.Combine(Output, file)), Is.EqualTo(File.ReadAllBytes(Path.Combine(_source.Path, file))), file);
        Assert.That(File.Exists(Path.Combine(Output, "golden_transformers.json")), Is.False);
    }

    [Test]
    public void Complete_OtherOrder_GivesTheSameBytes()
    {
        string other = _folder.File("other");
        Write(Output, 2, Linears(2), shardBytes: 1_000_000);
        Write(other, 2, Linears(2).Reverse(), shardBytes: 1_000_000);
        string[] files = [.. Directory.GetFiles(Output).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        Assert.That(files, Does.Contain("fastkron_manifest.json").And.Contains("model.safetensors.index.json"));
        Assert.That(Directory.GetFiles(other).Select(Path.GetFileName), Is.EquivalentTo(files));
        foreach (string file in files)
            Assert.That(File.ReadAllBytes(Path.Combine(other, file)), Is.EqualTo(File.ReadAllBytes(Path.Combine(Output, file))), file);
    }

    [Test]
    public void Complete_LargerThanAShard_SplitsAndReadsBack()
    {
        const long ShardBytes = 400_000;                 // smaller than embedding and head, which then stand alone
        QuantizedWeights[] linears = [.. Linears(2)];
        Write(Output, 2, linears, ShardBytes);
        string[] shards = Directory.GetFiles(Output, "*.safetensors");
        Assert.That(shards, Has.Length.GreaterThan(4).And.All.Matches<string>(shard =>
        {
            using SafetensorsFile file = SafetensorsFile.Open(shard);
            return file.Tensors.Count == 1 || file.Tensors.Sum(tensor => tensor.Bytes) <= ShardBytes;
        }));
        Assert.That(shards.Select(Path.GetFileName), Does.Contain($"model-00001-of-{shards.Length:D5}.safetensors"));
        using ModelFolder read = ModelFolder.Open(Output);
        foreach (QuantizedWeights linear in linears)
            Assert.That(QuantizedCheckpoint.Read(read, linear.Name, linear.Rows, linear.Columns).Codes, Is.EqualTo(linear.Codes));
        JsonNode index = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Output, "model.safetensors.index.json")))!;
        Assert.That(index["metadata"]!["total_size"]!.GetValue<long>(), Is.EqualTo(read.TensorNames.Sum(name => read.Describe(name).Bytes)));
    }

    [Test]
    public void Verify_ChangedFile_NamesIt()
    {
        Write(Output, 2, Linears(2));
        Assert.That(() => CheckpointManifest.Verify(Output), Throws.Nothing);
        JsonNode manifest = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Output, CheckpointManifest.FileName)))!;
        Assert.That(manifest["origin"]!.ToJsonString(), Is.EqualTo("""{"seed":18446744073709551615}"""));
        Assert.That(manifest["engine"]!.GetValue<string>(), Is.EqualTo(Engine.Version));

        string weights = Path.Combine(Output, "model.safetensors");
        using (FileStream stream = File.OpenWrite(weights))
        {
            stream.Position = stream.Length - 1;
            stream.WriteByte(0xAB);
        }
        Assert.That(() => CheckpointManifest.Verify(Output), Throws.TypeOf<InvalidDataException>().With.Message.Contains("model.safetensors"));
        File.Delete(weights);
        Assert.That(() => CheckpointManifest.Verify(Output), Throws.TypeOf<InvalidDataException>().With.Message.Contains("no file"));
    }

    [Test]
    public void Complete_LinearMissing_NamesItAndLeavesNothing()
    {
        using (var writer = QuantizedCheckpointWriter.Create(_source, Output, TrellisCodes.Hybrid(2), Skip))
        {
            foreach (QuantizedWeights linear in Linears(2).Where(linear => linear.Name != Gate))
                writer.Write(linear);
            Assert.That(() => writer.Complete([]), Throws.InvalidOperationException.With.Message.Contains(Gate));
        }
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void Complete_Cancelled_LeavesNothing()
    {
        using (var writer = QuantizedCheckpointWriter.Create(_source, Output, TrellisCodes.Hybrid(2), Skip))
        {
            foreach (QuantizedWeights linear in Linears(2))
                writer.Write(linear);
            Assert.That(() => writer.Complete([], new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        }
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void Create_ExistingOutput_IsRefusedAndKept()
    {
        Directory.CreateDirectory(Output);
        File.WriteAllText(Path.Combine(Output, "mine"), "kept");
        Assert.That(
            () => QuantizedCheckpointWriter.Create(_source, Output, TrellisCodes.Hybrid(2), Skip), Throws.TypeOf<IOException>().With.Message.Contains(Output).And.Message.Contains("exists"));
        Assert.That(File.ReadAllText(Path.Combine(Output, "mine")), Is.EqualTo("kept"));
    }

    [Test]
    public void Create_AfterAKilledRun_StartsAfresh()
    {
        // Never disposed, as if the process had been killed: its folder stays, with an unfinished file.
        QuantizedCheckpointWriter.Create(_source, Output, TrellisCodes.Hybrid(2), Skip).Write(Linears(2).First());
        Assert.That(Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories), Has.Length.EqualTo(1));
        Write(Output, 2, Linears(2));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo(new[] { Output }));
    }

    [Test]
    public void Write_WhatDoesNotFit_IsRefusedByName()
    {
        using var writer = QuantizedCheckpointWriter.Create(_source, Output, TrellisCodes.Hybrid(2), Skip);
        QuantizedWeights good = Linears(2).Single(linear => linear.Name == Gate);
        Assert.Multiple(() =>
        {
            AssertRefused(good with { Name = "model.layers.0.self_attn.q_proj" }, "q_proj");            // skipped
            AssertRefused(good with { Rows = 256, Columns = 640 }, "(640, 256)");
            AssertRefused(good with { Codebook = TrellisCodes.Hybrid(3) }, "3 bits");
            AssertRefused(good with { Layout = TrellisLayout.QtipPlain }, "QtipKernel");
            AssertRefused(good with { Codes = good.Codes[1..] }, "code words");
            AssertRefused(good with { InputScale = good.InputScale[1..] }, "input");
            AssertRefused(good with { OutputScale = good.OutputScale[1..] }, "output");
            AssertRefused(good with { InputScale = [.. good.InputScale.Select(s => s * 1.001f)] }, "BF16 holds exactly");
            AssertRefused(good with { InputScale = [.. good.InputScale.Select(s => s * float.NaN)] }, "NaN");
            AssertRefused(good with { OutputScale = [.. good.OutputScale.Select(s => s * float.NaN)] }, "NaN");
        });
        writer.Write(good);
        AssertRefused(good, Gate);

        void AssertRefused(QuantizedWeights weights, string named) => Assert.That(() => writer.Write(weights), Throws.ArgumentException.With.Message.Contains(named));
    }

    [Test]
    public void Create_UnsupportedCodeOrShape_SaysWhatIsSupported()
    {
        var computed = new TrellisCodebook("3inst", 9, 1, new float[TrellisCodebook.States], default);
        Assert.That(() => QuantizedCheckpointWriter.Create(_source, Output, computed, []), Throws.TypeOf<NotSupportedException>().With.Message.Contains("3inst").And.Message.Contains("quantlut_sym"));

        using ModelFolder odd = ModelFolder.Open(SharedData.Path("models/stories260K_hf"));
        Assert.That(
            () => QuantizedCheckpointWriter.Create(odd, Output, TrellisCodes.Hybrid(2), []), Throws.TypeOf<NotSupportedException>().With.Message.Contains("172").And.Message.Contains("32"));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);

        Write(Output, 2, Linears(2));
        using ModelFolder quantized = ModelFolder.Open(Output);
        Assert.That(() => QuantizedCheckpointWriter.Create(quantized, Output + "2", TrellisCodes.Hybrid(2), []), Throws.TypeOf<NotSupportedException>().With.Message.Contains("dense"));
    }

    [Test]
    public void Write_FullDisk_SaysSoAndLeavesNothing() => SmallDisk.Use(_folder, disk =>
    {
        string output = Path.Combine(disk, "output");
        using (var writer = QuantizedCheckpointWriter.Create(_source, output, TrellisCodes.Hybrid(2), Skip))
            Assert.That(() => writer.Write(Linears(2).First()), Throws.TypeOf<IOException>().With.Message.Contains(disk).And.Message.Contains("bytes free"));
        Assert.That(Directory.GetFileSystemEntries(disk), Is.Empty);
    });

    [TestCase("F16")]
    [TestCase("BF16")]
    [TestCase("F32")]
    public void Read_ScalesOfAnyFloatType_GivesThem(string type)
    {
        QuantizedWeights[] linears = [.. Linears(2)];
        Write(Output, 2, linears);
        ModelFolder changed = Change((tensor, bytes) => tensor.Name.EndsWith(".SV", StringComparison.Ordinal) || tensor.Name.EndsWith(".SU", StringComparison.Ordinal) ? Narrow(tensor, bytes, type) : (tensor, bytes));
        using (changed)
        {
            QuantizedWeights expected = linears.Single(linear => linear.Name == Gate), read = QuantizedCheckpoint.Read(changed, Gate, 640, 256);
            Assert.That(read.InputScale, Is.EqualTo(expected.InputScale));
            float unit = type switch { "F16" => 1f / 2048, "BF16" => 1f / 256, _ => 0 };            // half a unit in the last place, relative
            Assert.That(read.OutputScale.Zip(expected.OutputScale, (a, b) => Math.Abs(a - b) / Math.Abs(b)), Is.All.LessThanOrEqualTo(unit));
        }
    }

    [Test]
    public void Read_FlatTrellisAndNoSplit_GivesTheCodes()
    {
        QuantizedWeights[] linears = [.. Linears(2)];
        Write(Output, 2, linears);
        using ModelFolder changed = Change((tensor, bytes) => tensor.Name.EndsWith(".rcp", StringComparison.Ordinal) || tensor.Name.EndsWith(".tp_rank", StringComparison.Ordinal) ? null
            : tensor.Name.EndsWith(".trellis", StringComparison.Ordinal) ? (new SafetensorsTensor(tensor.Name, tensor.Type, [tensor.Bytes / 2]), bytes) : (tensor, bytes));
        Assert.That(QuantizedCheckpoint.Read(changed, Gate, 640, 256).Codes, Is.EqualTo(linears.Single(linear => linear.Name == Gate).Codes));
    }

    [TestCase("trellis", "I16", new long[] { 32, 640 })]
    [TestCase("trellis", "I32", new long[] { 640, 16 })]
    [TestCase("SU", "BF16", new long[] { 1, 256 })]
    [TestCase("SU", "I16", new long[] { 256 })]
    [TestCase("SV", "I32", new long[] { 640 })]
    [TestCase("SV", "F32", new long[] { 320, 2 })]
    [TestCase("tlut", "F16", new long[] { 2, 512 })]
    [TestCase("tlut", "BF16", new long[] { 512, 2 })]
    [TestCase("rcp", "F64", new long[0])]
    [TestCase("rcp", "I32", new long[] { 2 })]
    public void Read_WrongTypeOrShape_NamesTheTensor(string part, string type, long[] shape)
    {
        Write(Output, 2, Linears(2));
        using ModelFolder changed = Change((tensor, bytes) => tensor.Name == $"{Gate}.{part}" ? (new SafetensorsTensor(tensor.Name, SafetensorsType.Find(type)!, shape), bytes) : (tensor, bytes));
        Assert.That(() => QuantizedCheckpoint.Read(changed, Gate, 640, 256), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"{Gate}.{part}: found").And.Message.Contains("expected"));
    }

    [TestCase("trellis")]
    [TestCase("SU")]
    [TestCase("SV")]
    [TestCase("tlut")]
    public void Read_MissingTensor_NamesIt(string part)
    {
        Write(Output, 2, Linears(2));
        using ModelFolder changed = Change((tensor, bytes) => tensor.Name == $"{Gate}.{part}" ? null : (tensor, bytes));
        Assert.That(QuantizedCheckpoint.Holds(changed, Gate), Is.EqualTo(part != "trellis"));
        Assert.That(() => QuantizedCheckpoint.Read(changed, Gate, 640, 256), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"{Gate}.{part}"));
    }

    [TestCase("SU", 2)]
    [TestCase("SV", 4)]
    [TestCase("tlut", 2)]
    public void Read_NotFinite_NamesTheTensor(string part, int size)
    {
        Write(Output, 2, Linears(2));
        using ModelFolder changed = Change((tensor, bytes) =>
        {
            if (tensor.Name == $"{Gate}.{part}")
                bytes.AsSpan(3 * size, size).Fill(0xFF);
            return (tensor, bytes);
        });
        Assert.That(() => QuantizedCheckpoint.Read(changed, Gate, 640, 256), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"{Gate}.{part}[").And.Message.Contains("NaN"));
    }

    [Test]
    public void Read_SplitTransform_IsRefused()
    {
        Write(Output, 2, Linears(2));
        using ModelFolder changed = Change((tensor, bytes) => (tensor, tensor.Name == Gate + ".rcp" ? BitConverter.GetBytes(1L) : bytes));
        Assert.That(() => QuantizedCheckpoint.Read(changed, Gate, 640, 256), Throws.TypeOf<NotSupportedException>().With.Message.Contains("rcp"));
    }

    [TestCase("decode_mode", "\"3inst\"")]
    [TestCase("V", "1")]
    [TestCase("K", "5")]
    [TestCase("tlut_bits", "8")]
    public void Read_OtherCode_SaysWhatIsSupported(string key, string value)
    {
        Write(Output, 2, Linears(2));
        string path = Path.Combine(Output, "config.json");
        JsonNode config = JsonNode.Parse(File.ReadAllBytes(path))!;
        config["quip_params"]![key] = JsonNode.Parse(value);
        File.WriteAllText(path, config.ToJsonString());
        using ModelFolder folder = ModelFolder.Open(Output);
        Assert.That(() => QuantizedCheckpoint.Read(folder, Gate, 640, 256), Throws.TypeOf<NotSupportedException>().With.Message.Contains("supported is").And.Message.Contains(path));
    }

    private static (SafetensorsTensor, byte[])? Narrow(SafetensorsTensor tensor, byte[] bytes, string type)
    {
        float[] values = tensor.Type == SafetensorsType.F32
            ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : [.. MemoryMarshal.Cast<byte, BFloat16>(bytes).ToArray().Select(x => x.ToSingle())];
        byte[] stored = type switch
        {
            "F32" => MemoryMarshal.AsBytes<float>(values).ToArray(),
            "F16" => MemoryMarshal.AsBytes<Half>(values.Select(x => (Half)x).ToArray()).ToArray(),
            _ => MemoryMarshal.AsBytes<BFloat16>(values.Select(BFloat16.FromSingle).ToArray()).ToArray(),
        };
        return (new SafetensorsTensor(tensor.Name, SafetensorsType.Find(type)!, tensor.Shape), stored);
    }

    /// <summary>Random codes, signs and scales for every linear that is not skipped.</summary>
    private IEnumerable<QuantizedWeights> Linears(int bits)
    {
        var random = new Random(7);
        for (int layer = 0; layer < _source.Config.Layers; layer++)
        {
            foreach (BlockLinear linear in BlockLinears.All)
            {
                (int rows, int columns) = linear.Shape(_source.Config);
                ushort[] codes = new ushort[rows * columns / 16 * bits];
                random.NextBytes(MemoryMarshal.AsBytes(codes.AsSpan()));
                float[] input = [.. Enumerable.Range(0, columns).Select(_ => random.Next(2) * 2 - 1f)];
                float[] output = [.. Enumerable.Range(0, rows).Select(_ => (random.Next(2) * 2 - 1) * (0.01f + random.NextSingle()))];
                if (!Skip.Contains(QuantizedCheckpoint.SkipName(linear, layer)))
                    yield return new QuantizedWeights(linear.ModulePath(layer), rows, columns, TrellisCodes.Hybrid(bits), TrellisLayout.QtipKernel, codes, input, output);
            }
        }
    }

    private void Write(string output, int bits, IEnumerable<QuantizedWeights> linears, long shardBytes = long.MaxValue)
    {
        using var writer = QuantizedCheckpointWriter.Create(_source, output, TrellisCodes.Hybrid(bits), Skip, shardBytes);
        foreach (QuantizedWeights linear in linears)
            writer.Write(linear);
        writer.Complete(new JsonObject { ["seed"] = ulong.MaxValue });
    }

    private ModelFolder Change(Func<SafetensorsTensor, byte[], (SafetensorsTensor, byte[])?> change)
    {
        ModelFiles.Copy(Output, _folder.File("changed"), change);
        return ModelFolder.Open(_folder.File("changed"));
    }
}
