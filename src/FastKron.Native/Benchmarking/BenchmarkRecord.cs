using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Formats;

namespace FastKron.Native.Benchmarking;

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
    public required string Machine { get; init; }

    /// <summary>Day of the measurement.</summary>
    public string Date { get; init; } = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    /// <summary>Commit the build was made from.</summary>
    public string Commit { get; init; } = Engine.Version[(Engine.Version.IndexOf('+', StringComparison.Ordinal) + 1)..];

    /// <summary>Command that gives the number again.</summary>
    public required string Command { get; init; }

    /// <summary>Four significant digits: more than a measurement holds.</summary>
    internal static double Rounded(double value) => double.Parse(value.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    /// <summary>The records of a file.</summary>
    /// <exception cref="InvalidDataException">A line is no record; path and line are named.</exception>
    public static IEnumerable<BenchmarkRecord> Read(string path)
    {
        int number = 0;
        foreach (string line in File.ReadLines(path))
        {
            number++;
            if (line.Length == 0)
                continue;
            BenchmarkRecord? record;
            try
            {
                record = JsonSerializer.Deserialize(line, BenchmarkRecordJson.Default.BenchmarkRecord);
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"{path}:{number}: expected a benchmark record: {e.Message}", e);
            }
            yield return record ?? throw new InvalidDataException($"{path}:{number}: expected a benchmark record, found null");
        }
    }

    /// <summary>Replaces the records of the given suites in a file, keeping the others.</summary>
    public static void Replace(string path, IReadOnlyCollection<BenchmarkRecord> records)
    {
        HashSet<string> suites = [.. records.Select(r => r.Suite)];
        Replace(path, records, record => suites.Contains(record.Suite));
    }

    /// <summary>Replaces the records of the same suites and cases in a file, keeping the others.</summary>
    public static void Merge(string path, IReadOnlyCollection<BenchmarkRecord> records)
    {
        HashSet<(string, string)> cases = [.. records.Select(r => (r.Suite, r.Case))];
        Replace(path, records, record => cases.Contains((record.Suite, record.Case)));
    }

    private static void Replace(string path, IReadOnlyCollection<BenchmarkRecord> records, Predicate<BenchmarkRecord> isReplaced)
    {
        BenchmarkRecord[] kept = File.Exists(path) ? [.. Read(path).Where(r => !isReplaced(r))] : [];
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        AtomicFile.WriteAllBytes(path, Encoding.UTF8.GetBytes(string.Concat(kept.Concat(records).Select(r => r.ToJson() + "\n"))));
    }

    /// <summary>The record as one line of JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, BenchmarkRecordJson.Default.BenchmarkRecord);
}

/// <summary>Source-generated JSON of records.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(BenchmarkRecord))]
internal sealed partial class BenchmarkRecordJson : JsonSerializerContext;
