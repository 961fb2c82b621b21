using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Tests.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

/// <summary>What the encoder achieves on many tiles.</summary>
public sealed class TrellisEncodingTests
{
    // hessians-and-rounding.md section 4.6, unit Gaussian at scale 0.9; 1200 tiles have a standard error of 0.3 % (K = 2) to 0.8 % (K = 4).
    [TestCase(2, 0.0725)]
    [TestCase(3, 0.0190)]
    [TestCase(4, 0.0056)]
    public void EncodeTiles_GaussianWeights_ReachesThePublishedError(int bits, double expected)
    {
        using Encoded full = Encode(TrellisCodes.Hybrid(bits), TailBitingWindow.Full, 1200, 0.9), half = Encode(TrellisCodes.Hybrid(bits), TailBitingWindow.Half, 1200, 0.9);
        TestContext.Out.WriteLine($"K = {bits}: 128+128 {full.RelativeError:G5}, 64+64 {half.RelativeError:G5}");
        Assert.That(full.RelativeError, Is.EqualTo(expected).Within(2).Percent);
        Assert.That(full.RelativeError, Is.GreaterThan(Math.Pow(2, -2 * bits)), "no code beats the rate-distortion bound");
        Assert.That(half.RelativeError, Is.LessThan(1.01 * full.RelativeError), "the same tiles, so sampling errors cancel");
    }

    // Near its best scale the error hardly depends on it.
    [Test]
    public void EncodeTiles_FivePercentOffTheBestScale_HardlyLosesAnything()
    {
        double Error(double scale)
        {
            using Encoded encoded = Encode(TrellisCodes.Hybrid(2), TailBitingWindow.Half, 400, scale);
            return encoded.RelativeError;
        }
        double best = Error(1.0);
        Assert.That(Error(0.95), Is.EqualTo(best).Within(1).Percent);
        Assert.That(Error(1.05), Is.EqualTo(best).Within(1).Percent);
    }

    [Test]
    public void EncodeTiles_AnyTargets_GivesRings([Values(2, 3, 4)] int bits)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        using Encoded encoded = Encode(codebook, TailBitingWindow.Full, 8, 0.9);
        for (int tile = 0; tile < 8; tile++)
        {
            ushort[] ring = encoded.States.Row<ushort>(tile).ToArray();
            Assert.That(
                ring.Select(s => s >> codebook.StepBits), Is.EqualTo(ring.Skip(ring.Length - 1).Concat(ring).Take(ring.Length).Select(s => s & (0xFFFF >> codebook.StepBits))));
        }
    }

    // Other states may tie (h(s) = h(~s)), so values are compared.
    [Test]
    public void EncodeTiles_DecodedRing_HasNoError([Values(2, 3, 4)] int bits)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        using var backend = new CpuBackend();
        using Tensor states = Tensor.AllocateHost(DType.U16, 16, codebook.Steps), targets = Tensor.AllocateHost(DType.F32, 16, TrellisCodebook.TileSize);
        using Tensor values = Tensor.AllocateHost(DType.F32, 16, TrellisCodebook.TileSize);
        TrellisPackingTests.RandomRings(codebook, 16).CopyTo(states.AsSpan<ushort>());
        backend.DecodeTiles(codebook, states, targets);
        backend.EncodeTiles(codebook, TailBitingWindow.Full, targets, states);
        backend.DecodeTiles(codebook, states, values);
        Assert.That(values.AsSpan<float>().ToArray(), Is.EqualTo(targets.AsSpan<float>().ToArray()));
    }

    [Test]
    public void EncodeTiles_NaN_ThrowsBeforeAnythingIsWritten()
    {
        using var backend = new CpuBackend();
        using Tensor states = Tensor.AllocateHost(DType.U16, 3, 128), targets = Tensor.AllocateHost(DType.F32, 3, TrellisCodebook.TileSize);
        targets.AsSpan<float>().Clear();
        states.AsSpan<ushort>().Fill(77);
        targets.Row<float>(2)[5] = float.NaN;
        Assert.That(
            () => backend.EncodeTiles(TrellisCodes.Hybrid(2), TailBitingWindow.Full, targets, states),
            Throws.InstanceOf<ArithmeticException>().With.Message.StartsWith("tile 2, weight 5: target NaN"));
        Assert.That(states.AsSpan<ushort>().ToArray(), Is.All.EqualTo(77));
    }

    [Test]
    public void EncodeTiles_CodeOrWindowItCannotUse_Throws()
    {
        using var backend = new CpuBackend();
        using Tensor states = Tensor.AllocateHost(DType.U16, 1, 128), targets = Tensor.AllocateHost(DType.F32, 1, TrellisCodebook.TileSize);
        targets.AsSpan<float>().Clear();
        TrellisCodebook hybrid = TrellisCodes.Hybrid(2);
        float[] values = hybrid.Values.ToArray();
        values[100]++;
        Assert.That(
            () => backend.EncodeTiles(hybrid with { Name = "lut", Values = values }, TailBitingWindow.Full, targets, states),
            Throws.InstanceOf<NotSupportedException>().With.Message.StartsWith("encoding lut at 2 bits"));
        Assert.That(() => backend.EncodeTiles(hybrid, new TailBitingWindow(130), targets, states), Throws.ArgumentException);
        Assert.That(() => backend.EncodeTiles(hybrid, new TailBitingWindow(33), targets, states), Throws.ArgumentException);
    }

    private static Encoded Encode(TrellisCodebook codebook, TailBitingWindow window, int tiles, double scale)
    {
        double power = codebook.Values.ToArray().Average(v => (double)v * v);
        float[] normals = new float[tiles * TrellisCodebook.TileSize];
        Philox.Normal(seed: 2026, RandomPurpose.Test, item: 0, normals);      // not the tiles that the table was chosen on
        using var backend = new CpuBackend();
        using Tensor targets = Tensor.AllocateHost(DType.F32, tiles, TrellisCodebook.TileSize), values = Tensor.AllocateHost(DType.F32, tiles, TrellisCodebook.TileSize);
        Tensor states = Tensor.AllocateHost(DType.U16, tiles, codebook.Steps);
        for (int i = 0; i < normals.Length; i++)
            targets.AsSpan<float>()[i] = (float)(normals[i] * scale * Math.Sqrt(power));
        backend.EncodeTiles(codebook, window, targets, states);
        backend.DecodeTiles(codebook, states, values);
        double error = 0, total = 0;
        for (int i = 0; i < normals.Length; i++)
        {
            double target = targets.AsSpan<float>()[i], difference = target - values.AsSpan<float>()[i];
            error += difference * difference;
            total += target * target;
        }
        return new(states, error / total);
    }

    private sealed record Encoded(Tensor States, double RelativeError) : IDisposable
    {
        public void Dispose() => States.Dispose();
    }
}
