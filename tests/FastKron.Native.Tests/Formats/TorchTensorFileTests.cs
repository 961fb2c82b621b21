using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class TorchTensorFileTests : IDisposable
{
    private static readonly float[] Values = [2, 0.5f, 4, -1, 0.25f, 6, 1.5f, -0.75f, 0.125f, 8];

    private readonly TemporaryFolder _folder = new();

    private string Target => _folder.File("x.pt");

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Open_GoldenFile_GivesShapeAndValues()
    {
        File.WriteAllBytes(Target, GoldenFile.Read("sketch_hin.pt"));
        using TorchTensorFile file = TorchTensorFile.Open(Target);
        Assert.That(file.Shape, Is.EqualTo(new[] { 10L }));
        float[] read = new float[10];
        using Stream values = file.OpenValues();
        values.ReadExactly(MemoryMarshal.AsBytes(read.AsSpan()));
        Assert.That(read, Is.EqualTo(Values));
    }

    [Test]
    public void Write_SamePickle_IsTheGoldenOne()
    {
        TorchFiles.Write(Target, Values);
        File.WriteAllBytes(_folder.File("golden.pt"), GoldenFile.Read("sketch_hin.pt"));
        using ZipArchive mine = ZipFile.OpenRead(Target), golden = ZipFile.OpenRead(_folder.File("golden.pt"));
        foreach (string name in new[] { "data.pkl", "data/0", "byteorder" })
            Assert.That(TorchFiles.Bytes(mine, $"archive/{name}"), Is.EqualTo(TorchFiles.Bytes(golden, $"0_q_hin/{name}")), name);
    }

    [Test]
    public void Open_CutAnywhere_NamesTheFile()
    {
        byte[] whole = GoldenFile.Read("sketch_hin.pt");
        for (int length = 0; length < whole.Length; length += 13)
        {
            File.WriteAllBytes(Target, whole[..length]);
            AssertRefused("", $"{length} bytes");
        }
    }

    [Test]
    public void Open_PickleCutAnywhere_NamesTheByte()
    {
        byte[] pickle = TorchFiles.Pickle(10);
        for (int length = 0; length < pickle.Length; length++)
        {
            TorchFiles.Write(Target, Values, pickle[..length]);
            AssertRefused("at byte", $"{length} bytes");
        }
    }

    // A pickle that would run a command; and all that torch.save of one float tensor does not write.
    [TestCase(@"cos\nsystem\n(S'touch pwned'\ntR.", "os system")]
    [TestCase(@"cposix\nsystem\nq\x00X\x05\x00\x00\x00touchq\x01\x85q\x02Rq\x03.", "posix system")]
    [TestCase(@"cbuiltins\neval\n.", "builtins eval")]
    [TestCase(@"ctorch\nload\n.", "torch load")]
    [TestCase(@"ctorch.jit\nFloatStorage\n.", "torch.jit")]
    [TestCase(@"ccollections\nOrderedDict\n)R.", "another object")]
    [TestCase(@"ccollections\nOrderedDict\nK\x01\x85R.", "a call of another form")]
    [TestCase(@"K\x01.", "another object")]
    [TestCase(@"K\x01Q.", "a reference of another form")]
    [TestCase(@"}.", "instruction 0x7D")]
    [TestCase(@"\x80\x04.", "pickle protocol 4")]
    [TestCase(@"t.", "the end of a tuple")]
    [TestCase(@"R.", "an empty stack")]
    [TestCase(@"\x87.", "0 objects")]
    [TestCase(@"h\x07.", "object 7, never stored")]
    [TestCase(@"\x8A\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00.", "a number of 9 bytes")]
    [TestCase(@"X\xFF\xFF\xFF\xFF.", "bytes")]
    [TestCase(@"cos", "a name without end")]
    public void Open_OtherPickle_IsRefusedAndNotRun(string pickle, string named)
    {
        TorchFiles.Write(Target, Values, Encoding.Latin1.GetBytes(Regex.Unescape(pickle)));
        AssertRefused(named);
    }

    [Test]
    public void Open_EndlessObjects_IsRefused()
    {
        TorchFiles.Write(Target, Values, Encoding.Latin1.GetBytes(new string('(', 60_000)));
        AssertRefused("more than 64 objects");
    }

    [TestCase("FloatStorage", "DoubleStorage", "torch DoubleStorage")]
    [TestCase("FloatStorage", "HalfStorage", "torch HalfStorage")]
    public void Open_OtherElementType_NamesIt(string own, string other, string named)
    {
        TorchFiles.Write(Target, Values, Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(TorchFiles.Pickle(10)).Replace(own, other, StringComparison.Ordinal)));
        AssertRefused(named);
    }

    [TestCase(10, 0, 2, "strides")]                                  // every second element
    [TestCase(10, 1, 1, "from 1 on")]
    [TestCase(11, 0, 1, "44 bytes")]
    public void Open_ViewOrOtherLength_IsRefused(int shape, int offset, int stride, string named)
    {
        TorchFiles.Write(Target, Values, TorchFiles.Pickle(10, shape, offset, stride));
        AssertRefused(named);
    }

    [Test]
    public void Open_OtherArchive_SaysWhatIsMissing()
    {
        TorchFiles.Write(Target, Values, byteOrder: "big");
        AssertRefused("byteorder");
        TorchFiles.Write(Target, Values, pickleName: "data.bin");
        AssertRefused("data.pkl");
        TorchFiles.Write(Target, Values, dataName: "data/1");
        AssertRefused("data/'0'");
        TorchFiles.Write(Target, Values, level: CompressionLevel.SmallestSize);
        AssertRefused("compressed");
        File.WriteAllBytes(Target, TorchFiles.Pickle(10));           // torch before 1.6 wrote no archive
        AssertRefused("no whole zip archive");
    }

    private void AssertRefused(string named, string because = "") => Assert.That(() => TorchTensorFile.Open(Target).Dispose(), Throws.TypeOf<InvalidDataException>()
        .With.Message.StartsWith(Target).And.Message.Contains(named).And.Message.Contains("expected").And.Message.Not.Contains("\n"), because);
}

/// <summary>Writes torch.save files.</summary>
internal static class TorchFiles
{
    /// <summary>An archive of one vector, or one with something else in place of a part.</summary>
    public static void Write(
        string path, float[] values, byte[]? pickle = null, string byteOrder = "little", string pickleName = "data.pkl", string dataName = "data/0",
        CompressionLevel level = CompressionLevel.NoCompression)
    {
        using ZipArchive archive = new(File.Create(path), ZipArchiveMode.Create);
        Add(archive, pickleName, pickle ?? Pickle(values.Length), level);
        Add(archive, "byteorder", Encoding.UTF8.GetBytes(byteOrder), level);
        Add(archive, dataName, MemoryMarshal.AsBytes(values.AsSpan()).ToArray(), level);
    }

    /// <summary>The pickle of a vector.</summary>
    public static byte[] Pickle(int elements, int? shape = null, int offset = 0, int stride = 1)
    {
        List<byte> bytes = [0x80, 2];
        Text("ctorch._utils\n_rebuild_tensor_v2\nq\0((X");
        Text("\u0007\0\0\0storageq\u0001ctorch\nFloatStorage\nq\u0002X\u0001\0\0\0");
        Text("0q\u0003X\u0003\0\0\0cpuq\u0004");
        Number(elements);
        Text("tq\u0005Q");
        Number(offset);
        Number(shape ?? elements);
        Text("\u0085q\u0006");
        Number(stride);
        Text("\u0085q\u0007\u0089ccollections\nOrderedDict\nq\u0008)Rq\u0009tq\u000ARq\u000B.");
        return [.. bytes];

        void Text(string text) => bytes.AddRange(Encoding.Latin1.GetBytes(text));

        // As Python's pickler writes it: one, two or four bytes.
        void Number(int value)
        {
            byte[] little = new byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(little, value);
            bytes.AddRange(value < 256 ? [(byte)'K', little[0]] : value < 65536 ? [(byte)'M', .. little[..2]] : [(byte)'J', .. little]);
        }
    }

    public static byte[] Bytes(ZipArchive archive, string name)
    {
        using Stream stream = archive.GetEntry(name)!.Open();
        using MemoryStream bytes = new();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }

    private static void Add(ZipArchive archive, string name, byte[] bytes, CompressionLevel level)
    {
        using Stream stream = archive.CreateEntry($"archive/{name}", level).Open();
        stream.Write(bytes);
    }
}
