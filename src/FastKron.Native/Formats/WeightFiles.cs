namespace FastKron.Native.Formats;

/// <summary>The safetensors files of a model folder: <c>model.safetensors</c>, or the shards that <c>model.safetensors.index.json</c> lists.</summary>
/// <remarks>Where a folder has both, the single file counts, as in transformers.</remarks>
internal sealed class WeightFiles : IDisposable
{
    /// <summary>Name of an unsharded file.</summary>
    public const string SingleName = "model.safetensors";

    /// <summary>Name of the index of a sharded model.</summary>
    public const string IndexName = "model.safetensors.index.json";

    private const string Cure = "the index and the shards are of different downloads: repeat the download";

    private readonly List<SafetensorsFile> _files = [];
    private readonly Dictionary<string, SafetensorsFile> _byTensor = [];

    private WeightFiles()
    {
    }

    /// <summary>Names of all tensors, in ordinal order.</summary>
    public IReadOnlyList<string> Names { get; private set; } = [];

    /// <summary>Opens and checks all files of a folder.</summary>
    /// <exception cref="InvalidDataException">A file is missing or malformed, or index and shards disagree.</exception>
    public static WeightFiles Open(string folder)
    {
        var weights = new WeightFiles();
        try
        {
            string single = Path.Combine(folder, SingleName), index = Path.Combine(folder, IndexName);
            if (File.Exists(single))
                weights.Add(single);
            else if (File.Exists(index))
                weights.AddShards(folder, index);
            else
            {
                throw new InvalidDataException(
                    $"{folder}: found neither {SingleName} nor {IndexName}, expected one; give a Hugging Face folder with safetensors weights");
            }
            string[] names = [.. weights._byTensor.Keys];
            Array.Sort(names, string.CompareOrdinal);
            weights.Names = names;
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>The file that holds a tensor, or null.</summary>
    public SafetensorsFile? Find(string name) => _byTensor.GetValueOrDefault(name);

    /// <summary>Unmaps all files.</summary>
    public void Dispose()
    {
        foreach (SafetensorsFile file in _files)
            file.Dispose();
    }

    private SafetensorsFile Add(string path)
    {
        SafetensorsFile file = SafetensorsFile.Open(path);
        _files.Add(file);
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            if (!_byTensor.TryAdd(tensor.Name, file))
                throw MalformedFile.In(path, tensor.Name, $"the tensor also in {_byTensor[tensor.Name].Path}", "every tensor in one shard", Cure);
        }
        return file;
    }

    private void AddShards(string folder, string index)
    {
        Dictionary<string, string> map = JsonFields.Read(index, fields =>
        {
            JsonFields entries = fields.Object("weight_map") ?? throw fields.Bad("weight_map", "an object: tensor to file name");
            return entries.TextFields().ToDictionary(static entry => entry.Name, static entry => entry.Value);
        });
        foreach (string shard in map.Values.Distinct().Order(StringComparer.Ordinal))
        {
            if (shard.AsSpan().ContainsAny("/\\:\0") || shard is "" or "." or "..")
                throw MalformedFile.In(index, "weight_map", MalformedFile.Quote(shard), "the plain name of a file in the same folder", Cure);
            string path = Path.Combine(folder, shard);
            if (!File.Exists(path))
            {
                throw MalformedFile.In(
                    index, "weight_map", $"{MalformedFile.Quote(shard)}, which is not there", "all shards in the folder",
                    "the download is incomplete: resume it");
            }
            foreach (SafetensorsTensor tensor in Add(path).Tensors)
            {
                if (!map.ContainsKey(tensor.Name))
                    throw MalformedFile.In(index, "weight_map", $"nothing for {tensor.Name}, which {shard} holds", "an entry for every tensor", Cure);
            }
        }
        foreach ((string name, string shard) in map)
        {
            if (!_byTensor.TryGetValue(name, out SafetensorsFile? file) || Path.GetFileName(file.Path) != shard)
            {
                throw MalformedFile.In(
                    index, "weight_map", $"{name} in {shard}",
                    file is null ? "a tensor that some shard holds" : $"{Path.GetFileName(file.Path)}, which holds it", Cure);
            }
        }
    }
}
