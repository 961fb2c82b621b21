using System.Security.Cryptography;
using FastKron.Native.Calibration;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Calibration;

public sealed class CalibrationSetTests
{
    private static readonly CalibrationSet Small = CalibrationSet.Create([[1, 2, 3], [4, 5], [6, 7, 8, 9, 128_000]], "a.txt:lines, b.jsonl é", 2);

    // SHA-256 of the 13 integers 3 1 2 3 2 4 5 5 6 7 8 9 128000.
    [Test]
    public void Create_Ids_HashesLengthsAndIds()
    {
        int[] integers = [3, 1, 2, 3, 2, 4, 5, 5, 6, 7, 8, 9, 128_000];
        byte[] bytes = [.. integers.SelectMany(value => new[] { (byte)value, (byte)(value >> 8), (byte)(value >> 16), (byte)(value >> 24) })];
        Assert.That(Small.Hash, Is.EqualTo(Convert.ToHexStringLower(SHA256.HashData(bytes))));
        Assert.That(CalibrationSet.Create([[1, 2], [3, 4, 5], [6, 7, 8, 9, 128_000]], "", 0).Hash, Is.Not.EqualTo(Small.Hash));
    }

    [TestCase(1, 1)]                                                 // the first at least
    [TestCase(3, 1)]
    [TestCase(4, 1)]
    [TestCase(5, 2)]
    [TestCase(9, 2)]
    [TestCase(10, 3)]
    [TestCase(1_000_000, 3)]
    public void Take_Tokens_GivesWholeSequencesFromTheFirst(long tokens, int sequences) =>
        Assert.That(Small.Take(tokens), Is.EqualTo(Small.Sequences.Take(sequences)));

    [TestCase(1, "1 2 3|4 5|6 7 8 9 128000")]
    [TestCase(2, "1 2 3|4 5 ; 6 7 8 9 128000")]
    [TestCase(3, "1 2 3 ; 4 5|6 ; 7 8 9 128000")]
    [TestCase(10, "1 ; 2 ; 3 ; 4 ; 5 ; 6 ; 7 ; 8 ; 9 ; 128000")]
    public void Split_Groups_CutsAtEqualTokens(int groups, string expected) =>
        Assert.That(string.Join(" ; ", Small.Split(groups).Select(group => string.Join('|', group.Select(s => string.Join(' ', s))))), Is.EqualTo(expected));

    [Test]
    public void Split_AnySet_GivesEveryTokenOnceInOrderAndNearlyEqualGroups()
    {
        Gen<(int[] Lengths, int Groups)> inputs = from lengths in Gen.Choose(1, 30).NonEmptyListOf()
                                                  from groups in Gen.Choose(1, lengths.Sum())
                                                  select (lengths.ToArray(), groups);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(inputs.ToArbitrary(), input =>
        {
            int next = 0;
            CalibrationSet set = CalibrationSet.Create([.. input.Lengths.Select(length => Enumerable.Range(next, length).Select(_ => next++).ToArray())], "", 1);
            var groups = set.Split(input.Groups);
            long floor = set.Tokens / input.Groups;
            return groups.Count == input.Groups
                && groups.SelectMany(group => group).SelectMany(ids => ids).SequenceEqual(Enumerable.Range(0, next))
                && groups.All(group => group.All(ids => ids.Length > 0) && group.Sum(ids => ids.Length) - floor is 0 or 1);
        }));
    }

    [TestCase(0)]
    [TestCase(-1)]
    [TestCase(11)]
    public void Split_GroupsOutOfRange_SaysTheRange(int groups) =>
        Assert.That(() => Small.Split(groups), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("1 to 10"));

    [Test]
    public void Load_SavedSet_IsTheSame()
    {
        string path = TemporaryPath();
        Small.Save(path);
        CalibrationSet loaded = CalibrationSet.Load(path);
        Assert.That(loaded.Sequences, Is.EqualTo(Small.Sequences));
        Assert.That((loaded.Source, loaded.Documents, loaded.Hash), Is.EqualTo((Small.Source, Small.Documents, Small.Hash)));
        byte[] first = File.ReadAllBytes(path);
        loaded.Save(path);
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(first));
    }

    [Test]
    public void Load_AnyByteChanged_Throws()
    {
        string path = TemporaryPath();
        Small.Save(path);
        byte[] bytes = File.ReadAllBytes(path);
        for (int i = 0; i < bytes.Length; i++)
        {
            byte[] changed = [.. bytes];
            changed[i] ^= 0x80;
            File.WriteAllBytes(path, changed);
            Assert.That(() => CalibrationSet.Load(path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path), $"byte {i}");
        }
    }

    [Test]
    public void Load_CutOrExtended_Throws()
    {
        string path = TemporaryPath();
        Small.Save(path);
        byte[] bytes = File.ReadAllBytes(path);
        for (int length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(path, bytes[..length]);
            Assert.That(() => CalibrationSet.Load(path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path), $"{length} bytes");
        }
        File.WriteAllBytes(path, [.. bytes, 0]);
        Assert.That(() => CalibrationSet.Load(path), Throws.TypeOf<InvalidDataException>());
    }

    // A right SHA-256 over lengths that do not add up: written by a faulty program.
    [TestCase(0)]
    [TestCase(-1)]
    [TestCase(4)]
    [TestCase(int.MaxValue)]
    public void Load_LengthsThatDoNotAddUp_Throws(int length)
    {
        string path = TemporaryPath();
        Small.Save(path);
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(32 + System.Text.Encoding.UTF8.GetByteCount(Small.Source)), length);
        SHA256.HashData(bytes.AsSpan(..^32), bytes.AsSpan(^32..));
        File.WriteAllBytes(path, bytes);
        Assert.That(() => CalibrationSet.Load(path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path));
    }

    [Test]
    public void Load_NoFile_NamesIt() => Assert.That(() => CalibrationSet.Load("/no/such/ids"), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith("/no/such/ids"));

    private readonly List<string> _folders = [];

    private string TemporaryPath()
    {
        _folders.Add(Directory.CreateTempSubdirectory("fastkron-calibration-").FullName);
        return Path.Combine(_folders[^1], "ids.bin");
    }

    [TearDown]
    public void DeleteFolders()
    {
        foreach (string folder in _folders)
            Directory.Delete(folder, recursive: true);
        _folders.Clear();
    }
}
