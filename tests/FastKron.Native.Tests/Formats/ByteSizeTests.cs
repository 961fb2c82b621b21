using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

public sealed class ByteSizeTests
{
    [TestCase(0, "0 bytes")]
    [TestCase(999, "999 bytes")]
    [TestCase(5_335_296, "5.34 MB")]
    [TestCase(999_600_000, "1 GB")]
    [TestCase(16_060_000_000, "16.1 GB")]
    public void ToText_Bytes_HasThreeDigitsAndAUnit(long bytes, string text) => Assert.That(ByteSize.ToText(bytes), Is.EqualTo(text));
}
