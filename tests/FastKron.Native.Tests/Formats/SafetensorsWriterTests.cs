using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Commit_TwoTensors_WritesTheDocumentedBytes()
    {
        string path = _folder.File("a.safetensors");
        using (var writer = SafetensorsWriter.Create(
            path,
            [new SafetensorsTensor("b", SafetensorsType.U8, [3]), new SafetensorsTensor("a", SafetensorsType.F32, [1, 2]), new SafetensorsTensor("s", SafetensorsType.I64, [])],
            new Dictionary<string, string> { ["z"] = "é", ["format"] = "pt" }))
        {
            writer.Write("b", [1]);
            writer.Write("s", [7, 0, 0, 0, 0, 0, 0, 0]);
            writer.Write("a", [10, 11, 12, 13, 14, 15, 16, 17]);
            writer.Write("b", [2, 3]);
            Assert.That(File.Exists(path), Is.False);
            writer.Commit();
        }

        byte[] bytes = File.ReadAllBytes(path);
        const string Json = """{"__metadata__":{"format":"pt","z":"é"},"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}""";
        byte[] json = System.Text.Encoding.UTF8.GetBytes(Json);
        int header = (json.Length + 7) / 8 * 8;
        Assert.Multiple(() =>
        {
            Assert.That(BitConverter.ToInt64(bytes), Is.EqualTo(header));
            Assert.That(bytes[8..(8 + json.Length)], Is.EqualTo(json));
            Assert.That(bytes[(8 + json.Length)..(8 + header)], Is.All.EqualTo((byte)' '));
            Assert.That(bytes[(8 + header)..], Is.EqualTo(new byte[] { 7, 0, 0, 0, 0, 0, 0, 0, 10, 11, 12, 13, 14, 15, 16, 17, 1, 2, 3 }));
            Assert.That(Directory.GetFiles(_folder.Path), Has.Length.EqualTo(1));
        });
    }

    [TestCase("tiny-llama", 38)]
    [TestCase("tiny-qwen3", 47)]
    public void Commit_EverythingReadFromAModel_GivesAFileThatRewritesToItself(string model, int tensors)
    {
        using SafetensorsFile original = SafetensorsFile.Open(Path.Combine(SharedData.Model(model), "model.safetensors"));
        string first = _folder.File("first.safetensors"), second = _folder.File("second.safetensors");
        Rewrite(original, first);
        using SafetensorsFile copy = SafetensorsFile.Open(first);
        Rewrite(copy, second);

        Assert.That(original.Tensors, Has.Count.EqualTo(tensors));
        foreach (SafetensorsTensor tensor in original.Tensors)
            Assert.That(copy.Bytes(tensor.Name).SequenceEqual(original.Bytes(tensor.Name)), tensor.Name);
        Assert.That(File.ReadAllBytes(second), Is.EqualTo(File.ReadAllBytes(first)));
    }

    [Test]
    public void Commit_IncompleteTensor_ThrowsAndLeavesNothing()
    {
        string path = _folder.File("a.safetensors");
        using (var writer = SafetensorsWriter.Create(path, [new SafetensorsTensor("a", SafetensorsType.U8, [3])]))
        {
            writer.Write("a", [1, 2]);
            Assert.That(writer.Commit, Throws.InvalidOperationException.With.Message.Contains("a lacks 1 bytes"));
        }
        Assert.That(Directory.GetFiles(_folder.Path), Is.Empty);
    }

    [Test]
    public void Write_UndeclaredOrTooMany_Throws()
    {
        using var writer = SafetensorsWriter.Create(_folder.File("a.safetensors"), [new SafetensorsTensor("a", SafetensorsType.U8, [3])]);
        Assert.That(() => writer.Write("b", [1]), Throws.ArgumentException);
        Assert.That(() => writer.Write("a", [1, 2, 3, 4]), Throws.ArgumentException);
    }

    [Test]
    public void Create_ImpossibleName_ThrowsAndLeavesNothing()
    {
        foreach (string name in new[] { "__metadata__", "half \uD800" })
            Assert.That(() => SafetensorsWriter.Create(_folder.File("a.safetensors"), [new SafetensorsTensor(name, SafetensorsType.U8, [3])]), Throws.InstanceOf<ArgumentException>());
        Assert.That(Directory.GetFiles(_folder.Path), Is.Empty);
    }

    private static void Rewrite(SafetensorsFile source, string path)
    {
        using var writer = SafetensorsWriter.Create(path, source.Tensors, source.Metadata);
        foreach (SafetensorsTensor tensor in source.Tensors)
            writer.Write(tensor.Name, source.Bytes(tensor.Name));
        writer.Commit();
    }
}
