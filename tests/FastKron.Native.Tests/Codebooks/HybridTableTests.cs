using System.Runtime.InteropServices;
using FastKron.Native.Codebooks;
using NUnit.Framework;

namespace FastKron.Native.Tests.Codebooks;

public sealed class HybridTableTests
{
    // The developer's way to make the resource: after a change of the recipe this fails and says where the new table lies.
    [Test]
    public void Build_FromSeedZero_GivesTheEmbeddedTable()
    {
        ushort[] built = HybridTable.Build();
        string path = Path.Combine(TestContext.CurrentContext.WorkDirectory, "hyb.bin");
        File.WriteAllBytes(path, MemoryMarshal.AsBytes<ushort>(built));
        Assert.That(built, Is.EqualTo(HybridTable.Load()), $"the table made anew is in {path}");
    }
}
