using FastKron.Native.Compute;
using FastKron.Native.Incoherence;
using NUnit.Framework;

namespace FastKron.Native.Tests.Incoherence;

public sealed class HadamardFactorsTests
{
    // The table of hessians-and-rounding.md section 4.2 and the extension sizes: size, base order.
    [TestCase(1, 1)]
    [TestCase(64, 1)]
    [TestCase(192, 12)]
    [TestCase(256, 1)]
    [TestCase(576, 36)]
    [TestCase(768, 12)]
    [TestCase(1024, 1)]
    [TestCase(4096, 1)]
    [TestCase(1536, 12)]
    [TestCase(3072, 12)]
    [TestCase(5120, 20)]
    [TestCase(11008, 172)]
    [TestCase(12288, 12)]
    [TestCase(13824, 108)]
    [TestCase(14336, 28)]
    [TestCase(28672, 28)]
    [TestCase(53248, 52)]
    [TestCase(896, 28)]
    [TestCase(3584, 28)]
    [TestCase(8960, 140)]
    [TestCase(9728, 76)]
    [TestCase(17408, 68)]
    [TestCase(25600, 100)]
    [TestCase(4864, 76)]
    [TestCase(5632, 44)]
    [TestCase(18944, 148)]
    [TestCase(172, 172)]
    public void For_SupportedSize_PicksBaseOrder(int size, int order)
    {
        HadamardFactor factor = HadamardFactors.For(size);
        Assert.That((factor.BaseOrder, factor.PowerOfTwo, factor.Signs.Length), Is.EqualTo((order, size / order, order * order)));
    }

    [TestCase(0)]
    [TestCase(-12)]
    [TestCase(6)]
    [TestCase(92)]
    [TestCase(7168 + 32)]
    public void For_UnsupportedSize_SaysWhatExists(int size)
    {
        Assert.That(HadamardFactors.Supports(size), Is.False);
        Assert.That(() => HadamardFactors.For(size), Throws.TypeOf<NotSupportedException>()
            .With.Message.Contains($"transform of {size} elements").And.Message.Contains("2^p").And.Message.Contains("12, 20, 28"));
    }
}
