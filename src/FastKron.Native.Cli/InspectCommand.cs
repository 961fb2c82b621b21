using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron inspect</c>: what a checkpoint, a safetensors file or a factor file holds.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var path = new Argument<string>("PATH") { Description = "model folder, safetensors file or factor file" };
        var digest = new Option<bool>("--digest") { Description = "decode every linear, check the hashes of the manifest where there is one, and print the digest of the weights alone" };
        var json = new Option<bool>("--json") { Description = "print JSON" };
        var device = DeviceOption.Create();
        var command = new Command("inspect", "Show what a checkpoint holds.") { path, digest, json, device };
        command.SetAction((parsed, cancellationToken) =>
        {
            string target = parsed.GetRequiredValue(path);
            if (parsed.GetValue(digest))
            {
                using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
                if (File.Exists(Path.Combine(target, CheckpointManifest.FileName)))
                    CheckpointManifest.Verify(target, cancellationToken);
                else
                    Output.Warn($"{target}: found no {CheckpointManifest.FileName}, so no file is checked");
                string found = ModelDigest.OfFolder(target, backend, cancellationToken);
                Console.WriteLine(parsed.GetValue(json) ? $"{{\"digest\": \"{found}\"}}" : found);
            }
            else if (Directory.Exists(target))
                ShowFolder(target, parsed.GetValue(json));
            else if (File.Exists(target))
                ShowFile(target, parsed.GetValue(json));
            else
                throw new InvalidDataException($"{target}: not there; give a model folder, a safetensors file or a factor file");
            return Task.FromResult(0);
        });
        return command.WithExamples(
            "fastkron inspect tests/models/tiny-llama",
            "fastkron inspect OUT --digest");
    }

    private static void ShowFolder(string path, bool json)
    {
        using ModelFolder folder = ModelFolder.Open(path);
        SafetensorsTensor[] tensors = [.. folder.TensorNames.Select(folder.Describe)];
        if (json)
        {
            WriteJson(tensors, new Dictionary<string, string>());
            return;
        }
        ModelConfig c = folder.Config;
        Console.WriteLine(Text($"{folder.Path}: {c.Family}, {c.Layers} blocks, hidden {c.HiddenSize}, MLP {c.IntermediateSize}, heads {c.Heads}/{c.KeyHeads} of {c.HeadDimension}, vocabulary {c.VocabularySize}, context {c.MaxPositions}, {(c.TiedHead ? "tied" : "own")} head"));
        if (c.Quantization is { } q)
            Console.WriteLine(Text($"quantized: {q.DecodeMode}, K = {q.Bits}{(q.ValueBits is { } v ? $" ({v} for v_proj)" : "")}{Others(q)}, V = {q.Vector}{(q.SkipList.Count > 0 ? $", dense: {string.Join(", ", q.SkipList)}" : "")}"));
        WriteTable(tensors);
        if (File.Exists(Path.Combine(path, ReportFiles.Json)))
            ShowReport(ReportFiles.Read(path));
    }

    // Linears at another rate, those of one rate together.
    private static string Others(QuantizationParameters q) => q.LinearBits is null ? ""
        : $" ({string.Join("; ", q.LinearBits.GroupBy(pair => pair.Value, pair => pair.Key).OrderBy(rate => rate.Key).Select(rate => $"{rate.Key} for {string.Join(", ", rate)}"))})";

    private static void ShowReport(QuantizationReport report)
    {
        Table table = Output.Table("matrix", "method", "K", "stored bits", "proxy error", "weight error");
        foreach (LinearReport l in report.Linears)
            table.Row(l.Name, l.Rounding.Method, Text($"{l.CodeBits}"), Text($"{l.StoredBits:F3}"), Text($"{l.Rounding.ProxyError:G4}"), Text($"{l.Rounding.RelativeWeightError:G4}"));
        Output.Write(table);
    }

    private static void ShowFile(string path, bool json)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        if (json)
        {
            WriteJson(file.Tensors, file.Metadata);
            return;
        }
        foreach ((string key, string value) in file.Metadata)
            Console.WriteLine($"{key}: {value}");
        WriteTable(file.Tensors);
    }

    private static void WriteTable(IReadOnlyList<SafetensorsTensor> tensors)
    {
        Table table = Output.Table("tensor", "type", "shape", "bytes");
        foreach (SafetensorsTensor tensor in tensors)
            table.Row(tensor.Name, tensor.Type.Name, SafetensorsTensor.Describe(tensor.Shape), Text($"{tensor.Bytes:N0}"));
        table.Row("total", "", "", Text($"{tensors.Sum(t => t.Bytes):N0}"));
        Output.Write(table);
    }

    private static void WriteJson(IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        using var json = new Utf8JsonWriter(Console.OpenStandardOutput(), new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        foreach ((string key, string value) in metadata)
            json.WriteString(key, value);
        json.WriteEndObject();
        json.WriteStartArray("tensors");
        foreach (SafetensorsTensor tensor in tensors)
        {
            json.WriteStartObject();
            json.WriteString("name", tensor.Name);
            json.WriteString("type", tensor.Type.Name);
            json.WriteStartArray("shape");
            foreach (long size in tensor.Shape)
                json.WriteNumberValue(size);
            json.WriteEndArray();
            json.WriteNumber("bytes", tensor.Bytes);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        Console.WriteLine();
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
