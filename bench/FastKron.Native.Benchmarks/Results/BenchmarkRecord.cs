using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastKron.Native.Benchmarks.Results;

/// <summary>One measured number: a line of <c>bench/results/NAME.jsonl</c>. Null where there is none.</summary>
public sealed record BenchmarkRecord
{
    /// <summary>Group of cases, for example matmul.</summary>
    public required string Suite { get; init; }

    /// <summary>What was measured, with its shape.</summary>
    public required string Case { get; init; }

    /// <summary>The number.</summary>
    public required double Value { get; init; }

    /// <summary>Its unit.</summary>
    public required string Unit { get; init; }

    /// <summary>What it is compared with.</summary>
    public string? Rival { get; init; }

    /// <summary>The rival's number, same unit, same run.</summary>
    public double? RivalValue { get; init; }

    /// <summary>What the hardware allows, same unit.</summary>
    public double? Floor { get; init; }

    /// <summary>Processor or device.</summary>
    public string Machine { get; init; } = MachineName.Cpu;

    /// <summary>Day of the measurement.</summary>
    public string Date { get; init; } = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    /// <summary>Commit the build was made from.</summary>
    public string Commit { get; init; } = Engine.Version[(Engine.Version.IndexOf('+', StringComparison.Ordinal) + 1)..];

    /// <summary>Command that gives the number again.</summary>
    public required string Command { get; init; }

    /// <summary>Replaces the records of the given suites in a file, keeping the others.</summary>
    public static void Replace(string path, IReadOnlyCollection<BenchmarkRecord> records)
    {
        HashSet<string> suites = [.. records.Select(r => r.Suite)];
        IEnumerable<string> kept = File.Exists(path)
            ? File.ReadLines(path).Where(line => line.Length > 0 && !suites.Contains(JsonSerializer.Deserialize(line, RecordJson.Default.BenchmarkRecord)!.Suite))
            : [];
        string[] lines = [.. kept, .. records.Select(r => JsonSerializer.Serialize(r, RecordJson.Default.BenchmarkRecord))];
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        File.WriteAllText(path, string.Join('\n', lines) + "\n");
    }
}

/// <summary>Source-generated JSON of records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(BenchmarkRecord))]
internal sealed partial class RecordJson : JsonSerializerContext;
