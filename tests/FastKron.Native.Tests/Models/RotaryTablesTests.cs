using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class RotaryTablesTests
{
    [Test]
    public void Frequencies_Llama3Scaling_KeepsHighDividesLowAndJoinsThemContinuously()
    {
        var scaling = new Llama3Scaling(Factor: 8, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192);
        double[] plain = RotaryTables.Frequencies(new RotarySettings(500000, Llama3: null), headDimension: 128);
        double[] scaled = RotaryTables.Frequencies(new RotarySettings(500000, scaling), headDimension: 128);
        for (int i = 0; i < plain.Length; i++)
        {
            double wavelength = 2 * Math.PI / plain[i], smooth = (8192 / wavelength - 1) / 3;
            double expected = wavelength < 2048 ? plain[i] : wavelength > 8192 ? plain[i] / 8 : (1 - smooth) * plain[i] / 8 + smooth * plain[i];
            Assert.That(scaled[i], Is.EqualTo(expected).Within(1e-15 + 1e-12 * expected), $"pair {i}");
        }
    }

    [Test]
    public void Reserve_MorePositions_KeepsTheEarlierRows()
    {
        using IBackend backend = Backends.Create("cpu");
        ModelConfig config = RandomModel.Config(ModelFamily.Llama) with { MaxPositions = 2000 };
        using var tables = new RotaryTables(backend, config);
        tables.Reserve(5);
        float[] before = tables.Sines.Row<float>(4).ToArray();
        tables.Reserve(1999);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(tables.Positions, Is.InRange(1999, 2000));
            Assert.That(tables.Sines.Row<float>(4).ToArray(), Is.EqualTo(before));
            Assert.That(tables.Cosines.Row<float>(1998)[1], Is.EqualTo(Math.Cos(1998 * 0.1)).Within(1e-7));   // 10000^(−2/8) = 0.1
        }
    }
}
