using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class SafetensorsFileTests : IDisposable
{
    /// <summary>More than any message, header or mapping costs, far less than any claimed size: a file is refused before anything is allocated for it.</summary>
    private const long AllowedAllocation = 400_000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TestCase("models/stories260K_hf")]
    [TestCase("models/tiny_random_llama2")]
    [TestCase("models/tiny_llama3_mlxd")]         // metadata null, header not in the order of the bytes, data at an odd offset
    [TestCase("models/tiny_qwen3_mlxd")]
    public void Open_SharedModels_FindsEveryByteOnce(string model)
    {
        string path = Path.Combine(SharedData.Path(model), "model.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(path);
        long end = file.Offset(file.Tensors[0].Name);
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            Assert.That(file.Offset(tensor.Name), Is.EqualTo(end), tensor.Name);
            Assert.That(file.Bytes(tensor.Name).Length, Is.EqualTo(tensor.Bytes), tensor.Name);
            end += tensor.Bytes;
        }
        Assert.That(end, Is.EqualTo(new FileInfo(path).Length));
    }

    [Test]
    public void Open_ValidHeader_GivesTensorsAndMetadata()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Save(
            """{"__metadata__":{"a":"b"},"y":{"dtype":"F4","shape":[3,2],"data_offsets":[5,8]},"x":{"shape":[2,2],"data_offsets":[0,4],"dtype":"U8"},"e":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"s":{"dtype":"BOOL","shape":[],"data_offsets":[4,5]}}  """,
            1, 2, 3, 4, 5, 6, 7, 8));
        Assert.Multiple(() =>
        {
            Assert.That(file.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "x", "e", "s", "y" }));
            Assert.That(file.Tensor("x").Shape, Is.EqualTo(new long[] { 2, 2 }));
            Assert.That(file.Bytes("y").ToArray(), Is.EqualTo(new byte[] { 6, 7, 8 }));
            Assert.That(file.Bytes("e").Length, Is.Zero);
            Assert.That(file.Metadata, Is.EqualTo(new Dictionary<string, string> { ["a"] = "b" }));
            Assert.That(file.Contains("z"), Is.False);
            Assert.That(() => file.Tensor("z"), Throws.TypeOf<InvalidDataException>().With.Message.Contains("no tensor z"));
        });
    }

    [Test]
    public void Bytes_AfterDispose_Throws()
    {
        SafetensorsFile file = SafetensorsFile.Open(Save("""{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1));
        file.Dispose();
        file.Dispose();
        Assert.That(() => file.Address("x"), Throws.TypeOf<ObjectDisposedException>());
    }

    private static readonly TestCaseData[] BadHeaders =
    [
        // shape and type
        Bad("""{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,3]}}""", "span of 3"),
        Bad("""{"x":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}""", "F33"),
        Bad("""{"x":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", "f32"),
        Bad("""{"x":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}""", "dtype"),
        Bad("""{"x":{"dtype":"F4","shape":[7],"data_offsets":[0,4]}}""", "(7)"),
        Bad("""{"x":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}""", "-4"),
        Bad("""{"x":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}""", "4.0"),
        Bad("""{"x":{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}}""", "shape"),
        Bad("""{"x":{"dtype":"U8","shape":[[4]],"data_offsets":[0,4]}}""", "shape"),
        Bad("""{"x":{"dtype":"U8","shape":4,"data_offsets":[0,4]}}""", "shape"),
        Bad("""{"x":{"dtype":"U8","shape":null,"data_offsets":[0,4]}}""", "shape"),
        Bad("""{"x":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}""", "9223372036854775807"),
        Bad("""{"x":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}""", "span of 4"),                  // · 4 wraps to 4 in 64 bits
        Bad("""{"x":{"dtype":"U8","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}""", "span of 4"),               // wraps to 0
        Bad("""{"x":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4]}}""", "9223372036854775808"),
        Bad("""{"x":{"dtype":"U8","shape":[99999999999999999999999999],"data_offsets":[0,4]}}""", "2^63"),
        // offsets
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}""", "begin <= end"),
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0]}}""", "data_offsets"),
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,2,4]}}""", "data_offsets"),
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}}""", "-4"),
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":["0","4"]}}""", "data_offsets"),
        Bad("""{"x":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}""", "from 0"),
        Bad("""{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}""", "from 2"),
        Bad("""{"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "from 3"),
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "from 4"),
        Bad("""{"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}""", "1 more bytes"),
        Bad("""{"x":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}""", "incomplete"),
        Bad("""{"x":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}""", "incomplete"),
        // fields
        Bad("""{"x":{"dtype":"U8","shape":[4]}}""", "all of"),
        Bad("""{"x":{"shape":[4],"data_offsets":[0,4]}}""", "all of"),
        Bad("""{"x":{"dtype":"U8","data_offsets":[0,4]}}""", "all of"),
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1]}}""", "strides"),
        Bad("""{"x":{}}""", "all of"),
        Bad("""{"x":[]}""", "object"),
        Bad("""{"x":null}""", "object"),
        // keys twice
        Bad("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "second time"),
        Bad("""{"x":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "second time"),
        Bad("""{"\u0078":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"x":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "second time"),
        Bad("""{"__metadata__":{"a":"1","a":"2"},"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "second time"),
        Bad("""{"__metadata__":{},"__metadata__":{},"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "second time"),
        // metadata
        Bad("""{"__metadata__":{"a":1}}""", "a string"),
        Bad("""{"__metadata__":{"a":{"b":"c"}}}""", "a string"),
        Bad("""{"__metadata__":{"a":null}}""", "a string"),
        Bad("""{"__metadata__":["a"]}""", "object of strings"),
        // no JSON object
        Bad("[]", "'{'"),
        Bad(" {}", "'{'"),
        Bad("\uFEFF{}", "'{'"),
        Bad("{\"x\":", "broken JSON"),
        Bad("{} {}", "JSON"),
        Bad("{}\0", "JSON"),
        Bad("{/* */}", "broken JSON"),
        Bad("{\"x\":{\"dtype\":\"\\ud800\"}}", "surrogate"),
        Bad("{\"\\ud800\":{}}", "surrogate"),
        Bad("{\"x\":" + new string('[', 100) + new string(']', 100) + "}", "object"),
        Bad("{\"x\":{\"shape\":" + new string('[', 100) + new string(']', 100) + "}}", "shape"),
    ];

    [TestCaseSource(nameof(BadHeaders))]
    public void Open_BadHeader_NamesFileAndFault(string header, string named) => AssertRefused(Save(header, 1, 2, 3, 4), named);

    [Test]
    public void Open_HeaderThatIsNoUtf8_NamesIt()
    {
        byte[] json = Encoding.UTF8.GetBytes("""{"xx":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""");
        (json[2], json[3]) = (0xC3, 0x28);
        AssertRefused(Save(json, 1, 2, 3, 4), "UTF-8");
    }

    // Every one of these would need more memory than the machine has, or wraps around when 8 is added.
    [TestCase(0ul)]
    [TestCase(1ul)]
    [TestCase(100_000_001ul)]
    [TestCase(1ul << 31)]
    [TestCase(1ul << 32)]
    [TestCase((1ul << 63) - 9)]
    [TestCase((1ul << 63) - 1)]
    [TestCase(1ul << 63)]
    [TestCase(ulong.MaxValue - 8)]
    [TestCase(ulong.MaxValue)]
    public void Open_HeaderLengthOutOfRange_NamesIt(ulong length)
    {
        byte[] file = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        AssertRefused(SaveFile(file), $"header length {length}");
    }

    [Test]
    public void Open_HeaderLengthBeyondTheFile_IsAnIncompleteDownload()
    {
        byte[] file = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(file, 100_000_000);
        AssertRefused(SaveFile(file), "incomplete");
    }

    [Test]
    public void Open_EveryTruncation_IsRefused()
    {
        byte[] whole = File.ReadAllBytes(Save("""{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}""", [.. Enumerable.Range(0, 11).Select(i => (byte)i)]));
        for (int length = 0; length < whole.Length; length++)
            AssertRefused(SaveFile(whole[..length]), length == 0 ? "empty" : length < 8 ? "header length" : "incomplete");
        Assert.That(() => SafetensorsFile.Open(SaveFile(whole)).Dispose(), Throws.Nothing);
    }

    [Test]
    public void Open_TruncatedModel_IsAnIncompleteDownload()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(SharedData.Model("tiny-llama"), "model.safetensors"));
        foreach (int length in new[] { 1000, 5000, whole.Length / 2, whole.Length - 1 })
            AssertRefused(SaveFile(whole[..length]), "incomplete");
    }

    [Test]
    public void Open_GitLfsPointer_SaysHowToGetTheFile() => AssertRefused(
        SaveFile(Encoding.ASCII.GetBytes("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 7348736\n")),
        "git lfs pull");

    [Test]
    public void Open_NoFile_NamesIt() =>
        Assert.That(() => SafetensorsFile.Open(_folder.File("none")), Throws.InstanceOf<IOException>().With.Message.Contains(_folder.File("none")));

    private static TestCaseData Bad(string header, string named) => new TestCaseData(header, named).SetArgDisplayNames(header.Length > 100 ? header[..100] : header.Replace('\0', '0'));

    /// <summary>Refused within a second, with the file's name and the fault in the message, and without allocating a claimed size.</summary>
    private static void AssertRefused(string path, string named)
    {
        long before = GC.GetAllocatedBytesForCurrentThread(), started = Stopwatch.GetTimestamp();
        InvalidDataException? error = null;
        try
        {
            SafetensorsFile.Open(path).Dispose();
        }
        catch (InvalidDataException e)
        {
            error = e;
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        TimeSpan elapsed = Stopwatch.GetElapsedTime(started);
        Assert.That(error, Is.Not.Null, "accepted");
        Assert.That(error!.Message, Does.Contain(path).And.Contains(named).And.Contains("at byte").And.Contains("found").And.Contains("expected").And.Not.Contains("\n"));
        Assert.That(allocated, Is.LessThan(AllowedAllocation));
        Assert.That(elapsed.TotalSeconds, Is.LessThan(1));
    }

    private string Save(string header, params byte[] data) => Save(Encoding.UTF8.GetBytes(header), data);

    private string Save(byte[] header, params byte[] data)
    {
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return SaveFile([.. length, .. header, .. data]);
    }

    private string SaveFile(byte[] bytes)
    {
        string path = _folder.File("x.safetensors");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
