using System.Text.Json.Nodes;

namespace FastKron.Native.Formats;

/// <summary>One tensor of a folder that is being written.</summary>
/// <param name="Tensor">Name, type and shape.</param>
/// <param name="Copied">Whether its bytes are those of the source folder; else they are given.</param>
internal readonly record struct PlannedTensor(SafetensorsTensor Tensor, bool Copied);

/// <summary>Writes a model folder made from another one. It appears whole or not at all: built under a temporary name beside its place, then renamed.</summary>
/// <remarks>A shard's file exists from its first tensor on and is flushed with its last, so tensors may come layer by layer in either direction.</remarks>
internal sealed unsafe class ModelFolderWriter : IDisposable
{
    /// <summary>Bytes of a shard, unless one tensor alone is larger.</summary>
    public const long DefaultShardBytes = 5_000_000_000;

    private const int ChunkBytes = 1 << 24;

    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };      // transformers refuses files without it

    // Everything of a model folder that is no weight and describes no other format of the weights.
    private static readonly string[] CompanionPatterns =
    [
        "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
        "generation_config.json", "chat_template.*", "LICENSE*", "NOTICE*", "USE_POLICY*",
    ];

    private readonly ModelFolder _source;
    private readonly string _partial;
    private readonly List<Shard> _shards = [];
    private readonly Dictionary<string, Shard> _shardOf = [];
    private bool _done;

    private ModelFolderWriter(ModelFolder source, string path)
    {
        (_source, Path) = (source, path);
        string parent = System.IO.Path.GetDirectoryName(path) ?? path, name = System.IO.Path.GetFileName(path);
        _partial = System.IO.Path.Combine(parent, $".{name}.fastkron{AtomicFile.PartialSuffix}");
    }

    private sealed class Shard
    {
        public string FileName { get; set; } = "";

        public List<PlannedTensor> Tensors { get; } = [];

        public long Bytes { get; set; }

        public long Missing { get; set; }

        public SafetensorsWriter? Writer { get; set; }
    }

    /// <summary>Absolute path under which the folder will appear.</summary>
    public string Path { get; }

    /// <summary>Plans the shards and makes the temporary folder; what a killed run left there is deleted.</summary>
    /// <exception cref="IOException">The output exists, or its folder cannot be made.</exception>
    public static ModelFolderWriter Create(ModelFolder source, string output, IEnumerable<PlannedTensor> tensors, long shardBytes = DefaultShardBytes)
    {
        var writer = new ModelFolderWriter(source, System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(output)));
        if (System.IO.Path.Exists(writer.Path))
            throw new IOException($"{writer.Path}: exists already, expected a new folder; choose another output or delete it first");
        if (Directory.Exists(writer._partial))
            Directory.Delete(writer._partial, recursive: true);
        writer.Plan(tensors, shardBytes);
        Directory.CreateDirectory(writer._partial);
        return writer;
    }

    /// <summary>Appends bytes to a tensor that is not copied.</summary>
    /// <exception cref="ArgumentException">No such tensor was planned, or more bytes than its size.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Write(string name, ReadOnlySpan<byte> bytes)
    {
        if (!_shardOf.TryGetValue(name, out Shard? shard))
            throw new ArgumentException($"{Path}: {name} is not among the tensors to be written", nameof(name));
        if (shard.Missing == 0)
            throw new ArgumentException($"{Path}: {name} was written completely before", nameof(name));
        Begin(shard).Write(name, bytes);
        Advance(shard, bytes.Length);
    }

    /// <summary>Writes what is left (copied tensors, index, config.json, tokenizer files, manifest) and gives the folder its name.</summary>
    /// <param name="changeConfig">Changes the source's config.json; other keys and their order stay.</param>
    /// <param name="origin">How the folder was made, for the manifest.</param>
    /// <param name="cancellation">Checked at least once a second; the temporary folder is deleted on disposal.</param>
    /// <exception cref="InvalidOperationException">A tensor was not written completely.</exception>
    /// <exception cref="IOException">The disk is full or failed, or the output appeared meanwhile.</exception>
    public void Complete(Action<JsonObject> changeConfig, JsonObject origin, CancellationToken cancellation)
    {
        foreach (Shard shard in _shards)
        {
            cancellation.ThrowIfCancellationRequested();
            if (shard.Missing > 0 || shard.Bytes == 0)
                Begin(shard);
            Advance(shard, 0);
            if (shard.Missing > 0)
            {
                IEnumerable<string> given = shard.Tensors.Where(static t => !t.Copied).Select(static t => t.Tensor.Name);
                throw new InvalidOperationException($"{Path}: {shard.FileName} lacks {shard.Missing} bytes of {string.Join(", ", given)}");
            }
        }
        if (_shards.Count > 1)
            WriteIndex();

        byte[] json = JsonFields.ReadBytes(System.IO.Path.Combine(_source.Path, "config.json"));
        JsonObject config = JsonNode.Parse(json)!.AsObject();
        changeConfig(config);
        AtomicFile.WriteAllBytes(InPartial("config.json"), CheckpointManifest.Serialize(config));
        foreach (string file in CompanionPatterns.SelectMany(pattern => Directory.GetFiles(_source.Path, pattern)).Order(StringComparer.Ordinal))
            AtomicFile.WriteAllBytes(InPartial(System.IO.Path.GetFileName(file)), File.ReadAllBytes(file));

        CheckpointManifest.Write(_partial, origin, cancellation);
        Directory.Move(_partial, Path);
        _done = true;
    }

    /// <summary>Deletes the temporary folder unless the writing was completed.</summary>
    public void Dispose()
    {
        if (_done)
            return;
        _done = true;
        foreach (Shard shard in _shards)
            shard.Writer?.Dispose();
        Directory.Delete(_partial, recursive: true);
    }

    private string InPartial(string name) => System.IO.Path.Combine(_partial, name);

    private void Plan(IEnumerable<PlannedTensor> tensors, long shardBytes)
    {
        foreach (PlannedTensor planned in tensors.OrderBy(static t => Position(t.Tensor.Name)).ThenBy(static t => t.Tensor.Name, StringComparer.Ordinal))
        {
            if (_shards.Count == 0 || (_shards[^1].Bytes > 0 && _shards[^1].Bytes + planned.Tensor.Bytes > shardBytes))
                _shards.Add(new Shard());
            Shard shard = _shards[^1];
            shard.Tensors.Add(planned);
            shard.Bytes += planned.Tensor.Bytes;
            shard.Missing = shard.Bytes;
            _shardOf.Add(planned.Tensor.Name, shard);
        }
        for (int i = 0; i < _shards.Count; i++)
            _shards[i].FileName = _shards.Count == 1 ? WeightFiles.SingleName : $"model-{i + 1:D5}-of-{_shards.Count:D5}.safetensors";
    }

    // Embedding, blocks by number, the rest: shards then hold whole ranges of blocks.
    private static int Position(string name)
    {
        const string Blocks = "model.layers.";
        if (!name.StartsWith(Blocks, StringComparison.Ordinal))
            return name.StartsWith("model.embed_tokens.", StringComparison.Ordinal) ? -1 : int.MaxValue;
        ReadOnlySpan<char> number = name.AsSpan(Blocks.Length);
        int end = number.IndexOf('.');
        return end > 0 && int.TryParse(number[..end], System.Globalization.NumberStyles.None, null, out int layer) ? layer : int.MaxValue;
    }

    /// <summary>The writer of a shard; where it is new, the copied tensors go into it first.</summary>
    private SafetensorsWriter Begin(Shard shard)
    {
        if (shard.Writer is not null)
            return shard.Writer;
        shard.Writer = SafetensorsWriter.Create(InPartial(shard.FileName), shard.Tensors.Select(static t => t.Tensor), Metadata);
        foreach (PlannedTensor planned in shard.Tensors.Where(static t => t.Copied))
        {
            string name = planned.Tensor.Name;
            nint address = _source.FileOf(name).Address(name);
            for (long offset = 0; offset < planned.Tensor.Bytes; offset += ChunkBytes)
                shard.Writer.Write(name, new ReadOnlySpan<byte>((byte*)address + offset, (int)Math.Min(ChunkBytes, planned.Tensor.Bytes - offset)));
            shard.Missing -= planned.Tensor.Bytes;
        }
        return shard.Writer;
    }

    private static void Advance(Shard shard, long bytes)
    {
        shard.Missing -= bytes;
        if (shard.Missing > 0 || shard.Writer is null)
            return;
        shard.Writer.Commit();
        shard.Writer.Dispose();
        shard.Writer = null;
    }

    private void WriteIndex()
    {
        var map = new JsonObject();
        foreach ((string name, Shard shard) in _shardOf.OrderBy(static pair => pair.Key, StringComparer.Ordinal))
            map.Add(name, shard.FileName);
        var index = new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_size"] = _shards.Sum(static shard => shard.Bytes) },
            ["weight_map"] = map,
        };
        AtomicFile.WriteAllBytes(InPartial(WeightFiles.IndexName), CheckpointManifest.Serialize(index));
    }
}
