using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Commit_OverAnOldFile_ReplacesItAtOnce()
    {
        string path = _folder.File("a");
        AtomicFile.WriteAllBytes(path, "old, longer"u8);
        using (AtomicFile file = AtomicFile.Create(path))
        {
            file.Write("new"u8, 0);
            Assert.That(File.ReadAllText(path), Is.EqualTo("old, longer"));
            file.Commit();
        }
        Assert.That(File.ReadAllText(path), Is.EqualTo("new"));
        Assert.That(Directory.GetFiles(_folder.Path), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void Dispose_WithoutCommit_LeavesTheOldFile()
    {
        string path = _folder.File("a");
        AtomicFile.WriteAllBytes(path, "old"u8);
        using (AtomicFile file = AtomicFile.Create(path))
            file.Write("new"u8, 0);
        Assert.That(File.ReadAllText(path), Is.EqualTo("old"));
        Assert.That(Directory.GetFiles(_folder.Path), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void Create_AfterAKilledWriter_StartsAfresh()
    {
        string path = _folder.File("a");
        File.WriteAllText(path + AtomicFile.PartialSuffix, "what a killed process left, longer than the new content");
        AtomicFile.WriteAllBytes(path, "new"u8);
        Assert.That(File.ReadAllText(path), Is.EqualTo("new"));
        Assert.That(Directory.GetFiles(_folder.Path), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void Create_WhileAnotherWrites_NamesTheFile()
    {
        string path = _folder.File("a");
        using AtomicFile first = AtomicFile.Create(path);
        Assert.That(() => AtomicFile.Create(path), Throws.TypeOf<IOException>().With.Message.Contains(path));
        first.Write("first"u8, 0);
        first.Commit();
        Assert.That(File.ReadAllText(path), Is.EqualTo("first"));
    }

    [Test]
    public void Create_NoFolder_Throws() =>
        Assert.That(() => AtomicFile.Create(_folder.File("none/a")), Throws.TypeOf<DirectoryNotFoundException>().With.Message.Contains("none"));

    [Test]
    public void Create_FullDisk_SaysSoBeforeAnythingIsWritten() => SmallDisk.Use(_folder, disk =>
    {
        string path = Path.Combine(disk, "a.safetensors");
        Assert.That(
            () => SafetensorsWriter.Create(path, [new SafetensorsTensor("x", SafetensorsType.U8, [10_000_000])]),
            Throws.TypeOf<IOException>().With.Message.Contains(path).And.Message.Contains("10,000,0").And.Message.Contains("bytes free"));
        Assert.That(Directory.GetFiles(disk), Is.Empty);
    });

    [Test]
    public void Write_DiskThatFillsUp_SaysSoAndLeavesNothing() => SmallDisk.Use(_folder, disk =>
    {
        string path = Path.Combine(disk, "a");
        byte[] chunk = new byte[1 << 18];
        using (AtomicFile file = AtomicFile.Create(path))
        {
            Assert.That(
                () =>
                {
                    for (long offset = 0; offset < 10_000_000; offset += chunk.Length)
                        file.Write(chunk, offset);
                },
                Throws.TypeOf<IOException>().With.Message.Contains(path).And.Message.Contains("262,144").And.Message.Contains("make room"));
        }
        Assert.That(Directory.GetFiles(disk), Is.Empty);
        Assert.That(() => AtomicFile.WriteAllBytes(path, chunk), Throws.Nothing);
    });
}
