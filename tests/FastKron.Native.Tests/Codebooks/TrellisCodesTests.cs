using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Codebooks;

public sealed class TrellisCodesTests
{
    [Test]
    public void Hybrid_OwnTable_HasUnitScaleAndDistinctCodewords()
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(2);
        double power = 0;
        HashSet<(float, float)> distinct = [];
        for (int s = 0; s < TrellisCodebook.States; s++)
        {
            var (x, y) = Codeword(codebook, s);
            power += x * x + y * y;
            distinct.Add((x, y));
        }
        Assert.That(Math.Sqrt(power / (2 * TrellisCodebook.States)), Is.EqualTo(0.969).Within(0.003));   // √(15/16) plus the table's mean, invariant 11
        Assert.That(distinct, Has.Count.EqualTo(1024));
    }

    // Expected indices and signs: trellis-formats-and-kernels.md section 1.2.
    [TestCase(0, 0, false)]
    [TestCase(1, 0, false)]
    [TestCase(2, 0, false)]
    [TestCase(0x1234, 435, false)]
    [TestCase(0x8000, 0, true)]
    [TestCase(0xFFFF, 0, false)]
    public void Hybrid_KnownStates_GiveTableEntries(int state, int index, bool negative)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(3);
        float x = (float)BitConverter.UInt16BitsToHalf(codebook.Table.Span[2 * index]), y = (float)BitConverter.UInt16BitsToHalf(codebook.Table.Span[2 * index + 1]);
        Assert.That(Codeword(codebook, state), Is.EqualTo((negative ? -x : x, y)));
    }

    [Test]
    public void Hybrid_AllStates_HitEveryIndexWithEitherSignEquallyOften()
    {
        ushort[] counters = new ushort[1024];
        for (int i = 0; i < 512; i++)
            counters[2 * i] = counters[2 * i + 1] = BitConverter.HalfToUInt16Bits((Half)(i + 1));
        TrellisCodebook codebook = TrellisCodes.Hybrid(2, counters);
        var hits = Enumerable.Range(0, TrellisCodebook.States).Select(s => Codeword(codebook, s)).CountBy(c => c).ToDictionary();
        Assert.That(hits, Has.Count.EqualTo(1024));
        Assert.That(hits.Values, Is.All.EqualTo(64));
        Assert.That(hits.Keys.Select(c => (MathF.Abs(c.X), c.Y)), Is.All.Matches<(float X, float Y)>(c => c.X == c.Y));
    }

    [Test]
    public void Hybrid_OwnTableFromACheckpoint_IsTheSharedInstance([Values(2, 3, 4)] int bits)
    {
        TrellisCodebook own = TrellisCodes.Hybrid(bits);
        Assert.That(TrellisCodes.Hybrid(bits, own.Table.Span), Is.SameAs(own));
        Assert.That((own.Name, own.Bits, own.Vector, own.Steps, own.StepBits, own.PackedWords), Is.EqualTo(("quantlut_sym", bits, 2, 128, 2 * bits, 16 * bits)));
    }

    [Test]
    public void Hybrid_BadArguments_Throw()
    {
        ushort[] table = TrellisCodes.Hybrid(2).Table.ToArray();
        table[17] = 0x7C00;
        Assert.That(() => TrellisCodes.Hybrid(5), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => TrellisCodes.Hybrid(2, table), Throws.ArgumentException.With.Message.Contains("number 17"));
        Assert.That(() => TrellisCodes.Hybrid(2, table.AsSpan(1)), Throws.ArgumentException.With.Message.Contains("found 1023"));
    }

    [Test]
    public void Create_EveryKind_IsTheCodeOfItsName([Values] TrellisCode kind)
    {
        TrellisCodebook code = TrellisCodes.Create(kind, bits: 3);
        Assert.That((code.Name, code.Bits), Is.EqualTo((kind == TrellisCode.Hybrid ? "quantlut_sym" : kind.ToText(), 3)));
    }

    // On Gaussian weights without feedback, which wants 3 to 8 % less at 2 bits. The same 64 tiles at every scale: differences are good to about 0.5 %.
    [TestCase(TrellisCode.Hybrid, 2)]
    [TestCase(TrellisCode.Hybrid, 3)]
    [TestCase(TrellisCode.Hybrid, 4)]
    [TestCase(TrellisCode.OneMad, 3)]
    [TestCase(TrellisCode.OneMad, 4)]
    public void RelativeScale_AnyRate_IsNearTheLeastError(TrellisCode kind, int bits)
    {
        const int Tiles = 64;
        using var backend = new CpuBackend();
        TrellisCodebook code = TrellisCodes.Create(kind, bits);
        double rms = Math.Sqrt(code.Values.ToArray().Average(v => (double)v * v)), chosen = TrellisCodes.RelativeScale(kind, bits);
        float[] normal = new float[Tiles * TrellisCodebook.TileSize];
        Philox.Normal(seed: 5, RandomPurpose.Test, item: 0, normal);
        using Tensor targets = backend.Allocate(DType.F32, Tiles, TrellisCodebook.TileSize), values = backend.Allocate(DType.F32, Tiles, TrellisCodebook.TileSize);
        using Tensor states = backend.Allocate(DType.U16, Tiles, code.Steps);
        double Error(double scale)
        {
            backend.Upload<float>(normal, targets);
            backend.Scale(scale * rms, targets);
            backend.EncodeTiles(code, TailBitingWindow.Full, targets, states);
            backend.DecodeTiles(code, states, values);
            backend.Axpy(-1, targets, values);
            return backend.Dot(values, values) / backend.Dot(targets, targets);
        }
        double error = Error(chosen), larger = Error(1.1 * chosen), smaller = Error(0.9 * chosen);
        TestContext.Out.WriteLine($"{chosen}: {error:F5}, 10 % less {smaller:F5}, more {larger:F5}");
        Assert.That(error, Is.LessThan(1.015 * Math.Min(larger, smaller)));
    }

    // FNV-1a-64 of the little-endian values in state order (1MAD: float32, before rounding; the others float16): section 1.2.
    [TestCase("1mad", 0xc06f29dbadb43c37ul)]
    [TestCase("3inst", 0xfad431e7e9266898ul)]
    [TestCase("mcg", 0x7bb36b05a3b885a7ul)]
    [TestCase("mul1", 0x55e1c748ed9f0cd7ul)]
    public void ComputedCodes_AllStates_HaveThePublishedValues(string name, ulong expected)
    {
        TrellisCodebook codebook = TrellisOperands.Code(name, 3);
        ulong hash = 0xcbf29ce484222325;
        for (uint s = 0; s < TrellisCodebook.States; s++)
        {
            float value = codebook.Values.Span[(int)s];
            byte[] bytes = name == "1mad" ? BitConverter.GetBytes(TrellisCodes.OneMadQuotient(s)) : BitConverter.GetBytes((Half)value);
            Assert.That((float)(Half)value, Is.EqualTo(value), "a float16");
            foreach (byte b in bytes)
                hash = (hash ^ b) * 0x100000001b3;
        }
        Assert.That(hash, Is.EqualTo(expected));
        Assert.That((codebook.Name, codebook.Bits, codebook.Vector, codebook.Steps, codebook.StepBits), Is.EqualTo((name, 3, 1, 256, 3)));
    }

    [TestCase("3inst", 1.2437)]
    [TestCase("mcg", 1.2441)]
    [TestCase("mul1", 1.0003)]
    [TestCase("1mad", 1.0001)]
    public void ComputedCodes_AllStates_HaveThePublishedScale(string name, double expected)
    {
        TrellisCodebook codebook = TrellisOperands.Code(name, 1);
        double mean = 0, power = 0;
        foreach (float value in codebook.Values.Span)
            (mean, power) = (mean + value, power + value * value);
        Assert.That(Math.Abs(mean / TrellisCodebook.States), Is.LessThan(0.004));
        Assert.That(Math.Sqrt(power / TrellisCodebook.States), Is.EqualTo(expected).Within(6e-5));      // printed to four places
    }

    [Test]
    public void ComputedCodes_BadRate_Throws([Values(0, 9)] int bits) =>
        Assert.That(() => TrellisCodes.MultipliedSums(bits), Throws.InstanceOf<ArgumentOutOfRangeException>());

    private static (float X, float Y) Codeword(TrellisCodebook codebook, int state) => (codebook.Values.Span[2 * state], codebook.Values.Span[2 * state + 1]);
}
