using FastKron.Native.Formats;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

/// <summary>Random files: valid ones come back byte for byte, damaged ones are read or refused with a typed error, never anything else.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class SafetensorsPropertyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private sealed record Contents(IReadOnlyList<(SafetensorsTensor Tensor, byte[] Bytes)> Tensors, IReadOnlyDictionary<string, string> Metadata);

    private static readonly Gen<string> Texts = Gen.ArrayOf(Gen.Elements('a', '.', '"', '\\', '\n', '\0', 'é', '漢', '/', ' ', '\u2028')).Select(letters => new string(letters));

    private static readonly Gen<(SafetensorsTensor, byte[])> Tensors =
        from name in Texts
        from type in Gen.Elements(SafetensorsType.All.ToArray())
        from shape in Gen.ArrayOf(Gen.Choose(0, 4).Select(size => (long)size)).Where(shape => shape.Length <= 4)
        let whole = SafetensorsTensor.TryCountBytes(type, shape, out _)
        let tensor = new SafetensorsTensor(name, whole ? type : SafetensorsType.U8, shape)
        from bytes in Gen.ArrayOf(Gen.Choose(0, 255).Select(value => (byte)value), (int)tensor.Bytes)
        select (tensor, bytes);

    private static readonly Gen<Contents> Files =
        from tensors in Gen.ListOf(Tensors)
        from metadata in Gen.ListOf(Texts.Two())
        select new Contents(
            tensors.DistinctBy(t => t.Item1.Name).ToList(), metadata.DistinctBy(pair => pair.Item1).ToDictionary(pair => pair.Item1, pair => pair.Item2));

    [Test]
    public void WriteReadWrite_RandomFiles_IsByteIdentical() => Check(Files, contents =>
    {
        string first = _folder.File("first"), second = _folder.File("second");
        Write(first, contents.Tensors.Select(t => t.Tensor), contents.Metadata, contents.Tensors);
        using SafetensorsFile read = SafetensorsFile.Open(first);
        var tensors = read.Tensors.Select(t => (t, read.Bytes(t.Name).ToArray())).ToList();
        Write(second, read.Tensors, read.Metadata, tensors);
        return File.ReadAllBytes(first).AsSpan().SequenceEqual(File.ReadAllBytes(second))
            && read.Metadata.Count == contents.Metadata.Count && read.Metadata.All(pair => contents.Metadata[pair.Key] == pair.Value)
            && read.Tensors.Count == contents.Tensors.Count
            && contents.Tensors.All(t => read.Tensor(t.Tensor.Name).Shape.SequenceEqual(t.Tensor.Shape) && read.Bytes(t.Tensor.Name).SequenceEqual(t.Bytes))
            && read.Tensors.All(t => read.Offset(t.Name) * 8 % t.Type.Bits == 0 || t.Type.Bits < 8);     // aligned to its own elements
    });

    private static readonly Gen<(Contents, int, int, int, byte)> Damages =
        from contents in Files
        from kind in Gen.Choose(0, 2)
        from first in Gen.Choose(0, int.MaxValue)
        from second in Gen.Choose(0, int.MaxValue)
        from value in Gen.Choose(0, 255)
        select (contents, kind, first, second, (byte)value);

    [Test]
    public void Open_RandomDamage_SucceedsOrThrowsInvalidData() => Check(Damages, damage =>
    {
        (Contents contents, int kind, int first, int second, byte value) = damage;
        string path = _folder.File("damaged");
        Write(path, contents.Tensors.Select(t => t.Tensor), contents.Metadata, contents.Tensors);
        byte[] bytes = File.ReadAllBytes(path);
        bytes[first % bytes.Length] = kind == 0 ? value : bytes[first % bytes.Length];
        bytes[second % bytes.Length] = kind <= 1 ? value : bytes[second % bytes.Length];
        File.WriteAllBytes(path, kind == 2 ? bytes[..(first % bytes.Length)] : bytes);
        try
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            return kind != 2 && file.Tensors.Sum(t => t.Bytes) == bytes.Length - (file.Tensors.Count == 0 ? bytes.Length : file.Offset(file.Tensors[0].Name));
        }
        catch (InvalidDataException e)
        {
            return e.Message.Contains(path, StringComparison.Ordinal);
        }
    });

    private static void Check<T>(Gen<T> cases, Func<T, bool> holds) =>
        Prop.ForAll(cases.ToArbitrary(), holds).Check(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(20240, 3));

    private static void Write(
        string path, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string> metadata, IReadOnlyList<(SafetensorsTensor Tensor, byte[] Bytes)> contents)
    {
        using SafetensorsWriter writer = SafetensorsWriter.Create(path, tensors, metadata);
        foreach ((SafetensorsTensor tensor, byte[] bytes) in contents)
            writer.Write(tensor.Name, bytes);
        writer.Commit();
    }
}
