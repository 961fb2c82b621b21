using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

/// <summary>QTIP and YAQA checkpoints as others write them: every layout and code, and what their files have otherwise.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ForeignCheckpointTests : IDisposable
{
    private const string Module = "model.layers.0.self_attn.q_proj";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static IEnumerable<TestCaseData> GoldenCases()
    {
        JsonNode golden = JsonNode.Parse(GoldenFile.Read("qtip_layouts.json"))!;
        foreach (JsonNode? item in golden["cases"]!.AsArray())
            yield return new TestCaseData(item, Convert.FromHexString((string)golden["tlut"]!)).SetArgDisplayNames($"{item!["decode_mode"]} K={item["K"]}");
    }

    [TestCaseSource(nameof(GoldenCases))]
    public void Read_GoldenBytes_DecodesToTheGoldenNumbers(JsonNode golden, byte[] table)
    {
        (int rows, int columns, int bits) = ((int)golden["rows"]!, (int)golden["columns"]!, (int)golden["K"]!);
        string mode = (string)golden["decode_mode"]!;
        byte[] codes = Convert.FromHexString((string)golden["trellis"]!);
        List<(SafetensorsTensor, byte[])> tensors =
        [
            (new($"{Module}.trellis", SafetensorsType.I16, [codes.Length / 2]), codes),
            (new($"{Module}.SU", SafetensorsType.F16, [columns]), MemoryMarshal.AsBytes<Half>(Enumerable.Repeat((Half)(-1), columns).ToArray()).ToArray()),
            (new($"{Module}.SV", SafetensorsType.F64, [rows]), MemoryMarshal.AsBytes<double>(Enumerable.Repeat(0.125, rows).ToArray()).ToArray()),
        ];
        if (mode == "quantlut_sym")
            tensors.Add((new($"{Module}.tlut", SafetensorsType.F16, [512, 2]), table));
        using ModelFolder folder = Folder(tensors, mode, bits, (int)golden["V"]!);
        QuantizedWeights weights = QuantizedCheckpoint.Read(folder, Module, rows, columns);
        Assert.That(weights.InputScale, Is.All.EqualTo(-1f));
        Assert.That(weights.OutputScale, Is.All.EqualTo(0.125f));

        using CpuBackend backend = new();
        using Tensor packed = backend.Allocate(DType.U16, rows / 16 * (columns / 16), 16 * bits), dense = backend.Allocate(DType.F32, rows, columns);
        backend.Upload<ushort>(weights.Codes, packed);
        backend.DecodeMatrix(new TrellisMatrix(packed, weights.Codebook, weights.Layout, rows, columns), dense);
        float[] decoded = new float[rows * columns];
        backend.Download<float>(dense, decoded);
        float[] expected = [.. MemoryMarshal.Cast<byte, Half>(Convert.FromHexString((string)golden["values"]!)).ToArray().Select(value => (float)value)];
        Assert.That(decoded, Is.EqualTo(expected));                  // every codeword is a float16
    }

    [TestCase("1mad", 2)]
    [TestCase("3inst", 3)]
    [TestCase("mcg", 4)]
    [TestCase("mul1", 1)]
    public void Complete_ComputedCode_ReadsBackAndWritesTheSameBytes(string mode, int bits)
    {
        TrellisCodebook code = Code(mode, bits), values = Code(mode, 8);
        using ModelFolder source = ModelFolder.Open(GeneratedModel.Write(_folder.File("model")));
        string first = _folder.File("first"), second = _folder.File("second");
        Write(source, first, code, Values(values), [.. RandomLinears(source.Config, linear => linear.Kind == BlockLinear.Value ? values : code)]);
        using ModelFolder read = ModelFolder.Open(first);
        QuantizedWeights[] back = [.. LinearShape.AllOf(read.Config).Where(l => l.ShortName != "1_up").Select(l => QuantizedCheckpoint.Read(read, l.Name, l.Rows, l.Columns))];
        Assert.That(back.Select(w => (w.Codebook.Name, w.Codebook.Bits, w.Layout)), Is.EqualTo(
            back.Select(w => (mode, w.Name.EndsWith(".v_proj", StringComparison.Ordinal) ? 8 : bits, TrellisLayout.QtipPlain))));
        Assert.That(read.TensorNames, Has.None.EndsWith(".tlut"));
        JsonNode parameters = JsonNode.Parse(File.ReadAllBytes(Path.Combine(first, "config.json")))!["quip_params"]!;
        string extension = mode is "mcg" or "mul1" ? ",\"fastkron_extension\":true" : "";
        Assert.That(parameters.ToJsonString(), Is.EqualTo($$"""
            {"codebook":"bitshift","codebook_version":0,"L":16,"K":{{bits}},"V":1,"tlut_bits":0,"decode_mode":"{{mode}}","td_x":16,"td_y":16,"split_for_tp":false,"skip_list":["1_up"],"K_v_proj":8{{extension}}}
            """));
        Write(source, second, code, Values(values), back);
        foreach (string file in Directory.GetFiles(first))
            Assert.That(File.ReadAllBytes(Path.Combine(second, Path.GetFileName(file))), Is.EqualTo(File.ReadAllBytes(file)), file);

        using CpuBackend backend = new();
        using Workspace workspace = new(backend);
        QuantizedWeights weights = back[^1];
        using QuantizedLinear linear = new(backend, weights, workspace);
        using Tensor dense = backend.Allocate(DType.F32, weights.Rows, weights.Columns);
        weights.Dequantize(backend, dense);
        foreach (int tokens in new[] { 3, 20 })                      // tiles multiplied as they are decoded; strips decoded
        {
            using Tensor x = RandomModel.Normal(backend, tokens, weights.Columns, item: 40), y = backend.Allocate(DType.F32, tokens, weights.Rows);
            using Tensor expected = backend.Allocate(DType.F32, tokens, weights.Rows);
            linear.Forward(x, y);
            backend.MatMul(x, transposeA: false, dense, transposeB: true, expected);
            float[] found = y.AsSpan<float>().ToArray(), wanted = expected.AsSpan<float>().ToArray();
            Assert.That(found, Is.EqualTo(wanted).Within(1e-5));     // sums of 128 products of numbers near 0.1 and 1, rotated once more
        }
    }

    [Test]
    public void Read_ValueProjectionsAtAnotherRate_TakesItFromTheConfig()
    {
        TrellisCodebook code = TrellisCodes.Hybrid(2), values = TrellisCodes.Hybrid(4);
        using ModelFolder source = ModelFolder.Open(GeneratedModel.Write(_folder.File("model")));
        QuantizedWeights[] linears = [.. RandomLinears(source.Config, linear => linear.Kind == BlockLinear.Value ? values : code)];
        Write(source, _folder.File("out"), code, Values(values), linears);
        using ModelFolder read = ModelFolder.Open(_folder.File("out"));
        Assert.That(read.Config.Quantization, Is.EqualTo(new QuantizationParameters(2, 2, "quantlut_sym", 9, read.Config.Quantization!.SkipList, ValueBits: 4)));
        foreach (QuantizedWeights linear in linears)
        {
            QuantizedWeights back = QuantizedCheckpoint.Read(read, linear.Name, linear.Rows, linear.Columns);
            Assert.That((back.Codebook, back.Layout), Is.EqualTo((linear.Codebook, TrellisLayout.QtipKernel)), linear.Name);
            Assert.That(back.Codes, Is.EqualTo(linear.Codes), linear.Name);
        }
    }

    [Test]
    public void Read_LinearsAtRatesOfTheirOwn_TakesThemFromTheConfig()
    {
        using ModelFolder source = ModelFolder.Open(GeneratedModel.Write(_folder.File("model")));
        var others = new Dictionary<string, TrellisCodebook> { ["1_v"] = TrellisCodes.Hybrid(3), ["0_down"] = TrellisCodes.Hybrid(4) };
        QuantizedWeights[] linears = [.. RandomLinears(source.Config, linear => others.GetValueOrDefault(linear.ShortName, TrellisCodes.Hybrid(2)))];
        Write(source, _folder.File("out"), TrellisCodes.Hybrid(2), others, linears);
        using ModelFolder read = ModelFolder.Open(_folder.File("out"));
        string parameters = JsonNode.Parse(File.ReadAllBytes(Path.Combine(read.Path, "config.json")))!["quip_params"]!.ToJsonString();
        Assert.That(parameters, Does.EndWith(""","skip_list":["1_up"],"K_linear":{"0_down":4,"1_v":3},"fastkron_extension":true}"""));
        foreach (QuantizedWeights linear in linears)
        {
            QuantizedWeights back = QuantizedCheckpoint.Read(read, linear.Name, linear.Rows, linear.Columns);
            Assert.That(back.Codebook, Is.EqualTo(linear.Codebook), linear.Name);
            Assert.That(back.Codes, Is.EqualTo(linear.Codes), linear.Name);
        }
    }

    [TestCase("9_q")]
    [TestCase("1_up")]                                               // stays dense
    public void Create_RateOfWhatIsNotQuantized_IsRefused(string name)
    {
        using ModelFolder source = ModelFolder.Open(GeneratedModel.Write(_folder.File("model")));
        Assert.That(
            () => QuantizedCheckpointWriter.Create(source, _folder.File("out"), TrellisCodes.Hybrid(2), ["1_up"], others: new Dictionary<string, TrellisCodebook> { [name] = TrellisCodes.Hybrid(3) }),
            Throws.ArgumentException.With.Message.Contains(name));
    }

    [Test]
    public void Create_LinearInAnotherCode_IsRefused()
    {
        using ModelFolder source = ModelFolder.Open(GeneratedModel.Write(_folder.File("model")));
        Assert.That(
            () => QuantizedCheckpointWriter.Create(source, _folder.File("out"), TrellisCodes.Hybrid(2), [], others: new Dictionary<string, TrellisCodebook> { ["1_v"] = TrellisCodes.OneMad(2) }),
            Throws.ArgumentException.With.Message.Contains("1mad").And.Message.Contains("quantlut_sym"));
    }

    [TestCase("quantlut_sym", 1, 2)]
    [TestCase("quantlut_sym", 2, 1)]
    [TestCase("3inst", 2, 2)]
    [TestCase("lut", 2, 1)]
    [TestCase("quantlut_sym", 5, 2)]
    public void Read_CodeThatIsNotThere_SaysWhatIsSupported(string mode, int bits, int vector)
    {
        using ModelFolder folder = Folder([(new($"{Module}.trellis", SafetensorsType.I16, [0]), [])], mode, bits, vector);
        Assert.That(() => QuantizedCheckpoint.Read(folder, Module, 32, 32), Throws.TypeOf<NotSupportedException>()
            .With.Message.StartsWith(Path.Combine(folder.Path, "config.json")).And.Message.Contains(mode).And.Message.Contains("supported is").And.Message.Not.Contains("\n"));
    }

    [Test]
    public void Read_ComputedCodeOfOddShape_SaysWhatIsSupported()
    {
        using ModelFolder folder = Folder([(new($"{Module}.trellis", SafetensorsType.I16, [0]), [])], "3inst", 2, 1);
        Assert.That(() => QuantizedCheckpoint.Read(folder, Module, 16, 24), Throws.TypeOf<NotSupportedException>().With.Message.Contains("(16, 24)").And.Message.Contains("multiples of 16"));
        Assert.That(() => QuantizedCheckpoint.Read(folder, Module, 16, 48), Throws.TypeOf<InvalidDataException>().With.Message.Contains("(3, 32) or (96)"));
    }

    [TestCase("\"K_v_proj\": 9", "quip_params.K_v_proj")]
    [TestCase("\"K_v_proj\": \"3\"", "quip_params.K_v_proj")]
    [TestCase("\"skip_list\": [\"2_q\"]", "quip_params.skip_list")]
    [TestCase("\"K_linear\": {\"2_q\": 3}", "quip_params.K_linear")]
    [TestCase("\"K_linear\": {\"0_q\": 9}", "quip_params.K_linear.0_q")]
    [TestCase("\"K_linear\": [3]", "quip_params.K_linear")]
    [TestCase("\"skip_list\": \"0_q\"", "quip_params.skip_list")]
    public void Open_MalformedParameters_NamesTheField(string field, string named)
    {
        string path = GeneratedModel.Write(_folder.File("model")), config = Path.Combine(path, "config.json");
        string text = File.ReadAllText(config);
        string common = """, "quip_params": {"codebook": "bitshift", "L": 16, "K": 2, "V": 2, "tlut_bits": 9, "decode_mode": "quantlut_sym", "td_x": 16, "td_y": 16, """;
        File.WriteAllText(config, $"{text[..text.LastIndexOf('}')]}{common}{field}}}}}");
        Assert.That(() => ModelFolder.Open(path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(config).And.Message.Contains(named).And.Message.Not.Contains("\n"));
    }

    private static TrellisCodebook Code(string mode, int bits) => mode switch
    {
        "1mad" => TrellisCodes.OneMad(bits),
        "3inst" => TrellisCodes.ThreeInstructions(bits),
        "mcg" => TrellisCodes.MultiplicativeCongruence(bits),
        _ => TrellisCodes.MultipliedSums(bits),
    };

    private static IEnumerable<QuantizedWeights> RandomLinears(ModelConfig config, Func<LinearShape, TrellisCodebook> code)
    {
        var random = new Random(11);
        foreach (LinearShape linear in LinearShape.AllOf(config).Where(l => l.ShortName != "1_up"))
        {
            TrellisCodebook own = code(linear);
            ushort[] codes = new ushort[linear.Weights / 16 * own.Bits];
            random.NextBytes(MemoryMarshal.AsBytes(codes.AsSpan()));
            yield return new QuantizedWeights(
                linear.Name, linear.Rows, linear.Columns, own, own.Vector == 1 ? TrellisLayout.QtipPlain : TrellisLayout.QtipKernel, codes,
                [.. Enumerable.Range(0, linear.Columns).Select(_ => random.Next(2) * 2 - 1f)], [.. Enumerable.Range(0, linear.Rows).Select(_ => 0.1f * (random.Next(2) * 2 - 1))]);
        }
    }

    private static Dictionary<string, TrellisCodebook> Values(TrellisCodebook code) => new() { ["0_v"] = code, ["1_v"] = code };

    private static void Write(ModelFolder source, string output, TrellisCodebook code, Dictionary<string, TrellisCodebook> others, QuantizedWeights[] linears)
    {
        using var writer = QuantizedCheckpointWriter.Create(source, output, code, ["1_up"], others: others);
        foreach (QuantizedWeights linear in linears)
            writer.Write(linear);
        writer.Complete([]);
    }

    // A folder with these tensors alone, and the configuration of the generated model.
    private ModelFolder Folder(IReadOnlyList<(SafetensorsTensor Tensor, byte[] Bytes)> tensors, string mode, int bits, int vector)
    {
        string path = GeneratedModel.Write(_folder.File("model")), config = Path.Combine(path, "config.json");
        JsonNode root = JsonNode.Parse(File.ReadAllText(config))!;
        root["quip_params"] = new JsonObject
        {
            ["codebook"] = "bitshift",
            ["codebook_version"] = 0,
            ["L"] = 16,
            ["K"] = bits,
            ["V"] = vector,
            ["tlut_bits"] = vector == 2 ? 9 : 0,
            ["decode_mode"] = mode,
            ["td_x"] = 16,
            ["td_y"] = 16,
            ["split_for_tp"] = false,
            ["skip_list"] = null,
        };
        File.WriteAllText(config, root.ToJsonString());
        using (SafetensorsWriter writer = SafetensorsWriter.Create(Path.Combine(path, "model.safetensors"), tensors.Select(t => t.Tensor)))
        {
            foreach ((SafetensorsTensor tensor, byte[] bytes) in tensors)
                writer.Write(tensor.Name, bytes);
            writer.Commit();
        }
        return ModelFolder.Open(path);
    }
}
