using System.Text.Json.Nodes;
using FastKron.Native.Formats;

namespace FastKron.Native.Tests.Formats;

/// <summary>Makes variants of model folders.</summary>
internal static class ModelFiles
{
    /// <summary>Copies a folder's config.json and weights, each tensor as <paramref name="change"/> gives it back (null leaves it out).</summary>
    public static void Copy(string source, string target, Func<SafetensorsTensor, byte[], (SafetensorsTensor, byte[])?> change)
    {
        Directory.CreateDirectory(target);
        File.WriteAllBytes(Path.Combine(target, "config.json"), File.ReadAllBytes(Path.Combine(source, "config.json")));
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors"));
        Write(Path.Combine(target, "model.safetensors"), [.. file.Tensors.Select(t => change(t, file.Bytes(t.Name).ToArray())).OfType<(SafetensorsTensor, byte[])>()]);
    }

    /// <summary>Copies a folder with its weights in shards, tensors dealt out in turn.</summary>
    public static void CopySharded(string source, string target, int shards)
    {
        Directory.CreateDirectory(target);
        File.WriteAllBytes(Path.Combine(target, "config.json"), File.ReadAllBytes(Path.Combine(source, "config.json")));
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors"));
        var map = new JsonObject();
        for (int shard = 0; shard < shards; shard++)
        {
            string name = ShardName(shard);
            (SafetensorsTensor, byte[])[] tensors = [.. file.Tensors.Where((_, i) => i % shards == shard).Select(t => (t, file.Bytes(t.Name).ToArray()))];
            foreach ((SafetensorsTensor tensor, _) in tensors)
                map[tensor.Name] = name;
            Write(Path.Combine(target, name), tensors);
        }
        WriteIndex(target, map);
    }

    public static string ShardName(int shard) => $"model-{shard}.safetensors";

    public static void WriteIndex(string folder, JsonObject map) =>
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());

    public static JsonObject ReadIndex(string folder) =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "model.safetensors.index.json")))!["weight_map"]!.DeepClone().AsObject();

    private static void Write(string path, (SafetensorsTensor Tensor, byte[] Bytes)[] tensors)
    {
        using SafetensorsWriter writer = SafetensorsWriter.Create(path, tensors.Select(t => t.Tensor));
        foreach ((SafetensorsTensor tensor, byte[] bytes) in tensors)
            writer.Write(tensor.Name, bytes);
        writer.Commit();
    }
}
