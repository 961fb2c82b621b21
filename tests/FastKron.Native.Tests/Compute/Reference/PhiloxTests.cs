using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Reference;

public sealed class PhiloxTests
{
    // Known-answer vectors of the Random123 library for philox4x32-10: counter and key all zero, all one, digits of pi.
    [Test]
    public void Words_KnownCounters_GivePublishedWords()
    {
        Assert.That(Philox.Words(0, 0, 0, 0), Is.EqualTo((0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u)));
        Assert.That(
            Philox.Words(ulong.MaxValue, ulong.MaxValue, (RandomPurpose)uint.MaxValue, uint.MaxValue),
            Is.EqualTo((0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu)));
        Assert.That(
            Philox.Words(0x299F31D0A4093822, 0x85A308D3243F6A88, (RandomPurpose)0x13198A2E, 0x03707344),
            Is.EqualTo((0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u)));
    }
}
