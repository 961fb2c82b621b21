using System.Text;
using FastKron.Native.Formats;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

/// <summary>Random damage to config.json and to the index of shards gives a model or a typed error that names the file, never anything else.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class DamagedJsonTests : IDisposable
{
    private static readonly byte[][] Pieces = [.. ((string[])["\"", "{", "}", "[", "]", ",", ":", "null", "-1", "1e999", "\\ud800", "\0", "0", "9", "true", "\u00e9"]).Select(Encoding.UTF8.GetBytes), [0xFF]];

    /// <summary>A place in permille, bytes taken out there, and what is put in.</summary>
    private static readonly Gen<(int Place, int Removed, byte[] Inserted)[]> Edits = Gen.Choose(1, 4).SelectMany(count => Gen.ArrayOf(
        from place in Gen.Choose(0, 1000)
        from removed in Gen.OneOf(Gen.Choose(0, 3), Gen.Choose(0, 2000))
        from inserted in Gen.Elements(Pieces)
        select (place, removed, inserted), count));

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void ReadConfig_RandomDamage_SucceedsOrThrowsATypedError()
    {
        string text = File.ReadAllText(Path.Combine(SharedData.Model("tiny-qwen3"), "config.json")).TrimEnd().TrimEnd('}')
            + """, "quip_params": {"codebook": "bitshift", "L": 16, "K": 2, "V": 2, "tlut_bits": 9, "decode_mode": "quantlut_sym", "td_x": 16, "td_y": 16, "skip_list": ["0_q"]}}""";
        string path = _folder.File("config.json");
        CheckDamage(Encoding.UTF8.GetBytes(text), path, () => ModelConfigReader.Read(path));
    }

    [Test]
    public void OpenShards_RandomDamageToTheIndex_SucceedsOrThrowsATypedError()
    {
        ModelFiles.CopySharded(SharedData.Model("tiny-llama"), _folder.File("sharded"), shards: 2);
        string path = Path.Combine(_folder.File("sharded"), "model.safetensors.index.json");
        CheckDamage(File.ReadAllBytes(path), path, () => ModelFolder.Open(_folder.File("sharded")).Dispose());
    }

    private static void CheckDamage(byte[] whole, string path, Action read)
    {
        File.WriteAllBytes(path, whole);
        Assert.That(read, Throws.Nothing, "undamaged");
        int refused = 0;
        Prop.ForAll(Edits.ToArbitrary(), edits =>
        {
            List<byte> bytes = [.. whole];
            foreach ((int place, int removed, byte[] inserted) in edits)
            {
                int at = bytes.Count * place / 1000;
                bytes.RemoveRange(at, Math.Min(removed, bytes.Count - at));
                bytes.InsertRange(at, inserted);
            }
            File.WriteAllBytes(path, [.. bytes]);
            try
            {
                read();
                return true;
            }
            catch (Exception e) when (e is InvalidDataException or NotSupportedException)
            {
                refused++;
                return e.Message.Contains(path, StringComparison.Ordinal);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500).WithReplay(20241, 5));
        Assert.That(refused, Is.GreaterThan(100));
    }
}
