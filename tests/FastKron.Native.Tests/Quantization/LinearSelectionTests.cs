using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class LinearSelectionTests
{
    [Test]
    public void Choose_Stories260K_RefusesItsMlpAndNamesTheOption()
    {
        ModelConfig config = ModelConfigReader.Read(Path.Combine(SharedData.Path("models/stories260K_hf"), "config.json"));
        Assert.That(() => LinearSelection.Choose(config, []), Throws.TypeOf<NotSupportedException>()
            .With.Message.Contains("gate (172, 64)").And.Message.Contains("up (172, 64)").And.Message.Contains("down (64, 172)").And.Message.Contains("--skip gate,up,down"));
    }

    [Test]
    public void Choose_Stories260KWithoutItsMlp_QuantizesTheAttention()
    {
        ModelConfig config = ModelConfigReader.Read(Path.Combine(SharedData.Path("models/stories260K_hf"), "config.json"));
        LinearSelection selection = LinearSelection.Choose(config, ["gate", "up", "down"]);
        Assert.That(selection.Quantized.Select(l => l.ShortName).Take(5), Is.EqualTo(new[] { "0_q", "0_k", "0_v", "0_o", "1_q" }));
        Assert.That(selection.Skipped, Has.Count.EqualTo(3 * config.Layers));
    }

    [Test]
    public void Choose_UnknownName_IsABadCall()
    {
        ModelConfig config = ModelConfigReader.Read(Path.Combine(SharedData.Model("tiny-llama"), "config.json"));
        Assert.That(() => LinearSelection.Choose(config, ["9_q"]), Throws.TypeOf<ArgumentException>().With.Message.Contains("--skip 9_q"));
    }
}
