using System.Globalization;
using System.Text;
using FastKron.Native.Benchmarking;

namespace FastKron.Native.Benchmarks.Results;

/// <summary>Rewrites the tables of the README from the files under bench/results, between lines <c>&lt;!-- table: FILE SUITE… --&gt;</c> and <c>&lt;!-- end --&gt;</c>.</summary>
internal static class ReadmeTables
{
    private const string Begin = "<!-- table: ", BeginEnd = " -->", End = "<!-- end -->";

    /// <summary>Replaces every table; the text between is left alone.</summary>
    /// <exception cref="InvalidDataException">A table without an end, or a suite without records.</exception>
    public static void Write(string repository)
    {
        string path = Path.Combine(repository, "README.md");
        var output = new StringBuilder();
        bool inTable = false;
        foreach (string line in File.ReadLines(path))
        {
            if (inTable && line != End)
                continue;
            inTable = false;
            output.Append(line).Append('\n');
            if (line.StartsWith(Begin, StringComparison.Ordinal))
            {
                string[] words = line[Begin.Length..^BeginEnd.Length].Split(' ');
                output.Append(Table(Path.Combine(repository, "bench", "results", words[0]), words[1..]));
                inTable = true;
            }
        }
        if (inTable)
            throw new InvalidDataException($"{path}: a table has no line {End}");
        File.WriteAllText(path, output.ToString());
    }

    private static string Table(string file, string[] suites)
    {
        BenchmarkRecord[] records = [.. BenchmarkRecord.Read(file)
            .Where(r => suites.Contains(r.Suite) && !r.Case.Contains('@', StringComparison.Ordinal))];
        if (records.Length == 0)
            throw new InvalidDataException($"{file}: no record of {string.Join(", ", suites)}");
        bool rivals = records.Any(r => r.RivalValue is not null), floors = records.Any(r => r.Floor is not null);
        var table = new StringBuilder("| case | value | unit |");
        var rule = new StringBuilder("|---|---:|---|");
        if (floors)
        {
            table.Append(" allowed | of it |");
            rule.Append("---:|---:|");
        }
        if (rivals)
        {
            table.Append(" rival | its value | ratio |");
            rule.Append("---|---:|---:|");
        }
        table.Append('\n').Append(rule).Append('\n');
        foreach (BenchmarkRecord r in records)
        {
            string name = suites.Length > 1 ? $"{r.Suite}: {r.Case}" : r.Case;
            table.Append(CultureInfo.InvariantCulture, $"| {name} | {Number(r.Value)} | {r.Unit} |");
            if (floors)
                table.Append(CultureInfo.InvariantCulture, $" {(r.Floor is { } f ? Number(f) : "")} | {(r.Floor is { } g ? (IsTime(r) ? g / r.Value : r.Value / g).ToString("P0", CultureInfo.InvariantCulture) : "")} |");
            if (rivals)
                table.Append(CultureInfo.InvariantCulture, $" {r.Rival} | {(r.RivalValue is { } v ? Number(v) : "")} | {(r.RivalValue is { } w ? (r.Value / w).ToString("F2", CultureInfo.InvariantCulture) : "")} |");
            table.Append('\n');
        }
        BenchmarkRecord last = records[^1];
        return table.Append(CultureInfo.InvariantCulture, $"\n{last.Machine}; {last.Date}, commit {last.Commit[..Math.Min(9, last.Commit.Length)]}; `{string.Join("`, `", records.Select(r => r.Command).Distinct())}`.\n").ToString();
    }

    private static bool IsTime(BenchmarkRecord record) => record.Unit is "µs" or "ms" or "s";

    private static string Number(double value) => value.ToString(value < 10 ? "G4" : "F1", CultureInfo.InvariantCulture);
}
