using System.Globalization;
using System.IO.Enumeration;
using System.Text;
using FastKron.Native.Benchmarking;

namespace FastKron.Native.Benchmarks.Results;

/// <summary>
/// Rewrites the tables of the READMEs from the files under bench/results, each between a line that says what it shows and a line <c>&lt;!-- end --&gt;</c>:
/// <c>&lt;!-- table: FILE SUITE[:CASES]… --&gt;</c> has a line for each record (CASES may hold *; variants, which have an @, stay out);
/// <c>&lt;!-- pivot: FILE SUITE PATTERN COLUMN… --&gt;</c> has a line for each text that * of the pattern stands for, and a column for each that {} stands for.
/// </summary>
internal static class ResultTables
{
    private const string Begin = "<!-- ", BeginEnd = " -->", End = "<!-- end -->";

    private static readonly string[] Pages = ["README.md", Path.Combine("bench", "results", "README.md")];

    /// <summary>Replaces every table; the text between is left alone.</summary>
    /// <exception cref="InvalidDataException">A table without an end, or without records.</exception>
    public static void Write(string repository)
    {
        foreach (string page in Pages)
            WritePage(Path.Combine(repository, page), Path.Combine(repository, "bench", "results"));
    }

    private static void WritePage(string path, string results)
    {
        var output = new StringBuilder();
        bool inTable = false;
        foreach (string line in File.ReadLines(path))
        {
            if (inTable && line != End)
                continue;
            inTable = false;
            output.Append(line).Append('\n');
            if (!line.StartsWith(Begin, StringComparison.Ordinal) || line == End)
                continue;
            string[] words = line[Begin.Length..^BeginEnd.Length].Split(' ');
            string file = Path.Combine(results, words[1]);
            output.Append(words[0] switch
            {
                "table:" => Table(file, words[2..]),
                "pivot:" => Pivot(file, words[2], words[3], words[4..]),
                _ => throw new InvalidDataException($"{path}: found {line}, expected table: or pivot:"),
            });
            inTable = true;
        }
        if (inTable)
            throw new InvalidDataException($"{path}: a table has no line {End}");
        File.WriteAllText(path, output.ToString());
    }

    private static string Table(string file, string[] selections)
    {
        (string Suite, string Cases)[] selected = [.. selections.Select(s => s.Split(':', 2)).Select(s => (s[0], s.Length > 1 ? s[1] : "*"))];
        BenchmarkRecord[] records = Records(file, r => !r.Case.Contains('@', StringComparison.Ordinal)
            && selected.Any(s => s.Suite == r.Suite && FileSystemName.MatchesSimpleExpression(s.Cases, r.Case, ignoreCase: false)), string.Join(", ", selections));
        bool suites = selected.Select(s => s.Suite).Distinct().Count() > 1, rivals = records.Any(r => r.RivalValue is not null), floors = records.Any(r => r.Floor is not null);
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
            string name = suites ? $"{r.Suite}: {r.Case}" : r.Case;
            table.Append(CultureInfo.InvariantCulture, $"| {name} | {Number(r.Value)} | {r.Unit} |");
            if (floors)
                table.Append(CultureInfo.InvariantCulture, $" {(r.Floor is { } f ? Number(f) : "")} | {(r.Floor is { } g ? (IsTime(r) ? g / r.Value : r.Value / g).ToString("P0", CultureInfo.InvariantCulture) : "")} |");
            if (rivals)
                table.Append(CultureInfo.InvariantCulture, $" {r.Rival} | {(r.RivalValue is { } v ? Number(v) : "")} | {(r.RivalValue is { } w ? (r.Value / w).ToString("F2", CultureInfo.InvariantCulture) : "")} |");
            table.Append('\n');
        }
        return table.Append(Origin(records)).ToString();
    }

    private static string Pivot(string file, string suite, string pattern, string[] columns)
    {
        var values = new Dictionary<string, BenchmarkRecord?[]>();          // in order of first appearance
        var found = new List<BenchmarkRecord>();
        foreach (BenchmarkRecord record in Records(file, r => r.Suite == suite, suite))
        {
            for (int column = 0; column < columns.Length; column++)
            {
                if (RowOf(record.Case, pattern.Replace("{}", columns[column], StringComparison.Ordinal)) is not { } row)
                    continue;
                if (!values.TryGetValue(row, out BenchmarkRecord?[]? line))
                    values.Add(row, line = new BenchmarkRecord?[columns.Length]);
                line[column] = record;
                found.Add(record);
            }
        }
        if (found.Count == 0)
            throw new InvalidDataException($"{file}: no record of {suite} like {pattern} with {string.Join(", ", columns)}");
        var table = new StringBuilder($"| {found[0].Unit} | {string.Join(" | ", columns)} |\n|---|{string.Concat(Enumerable.Repeat("---:|", columns.Length))}\n");
        foreach ((string row, BenchmarkRecord?[] line) in values)
            table.Append(CultureInfo.InvariantCulture, $"| {row} | {string.Join(" | ", line.Select(r => r is null ? "…" : Number(r.Value)))} |\n");
        return table.Append(Origin(found)).ToString();
    }

    // What the * of a pattern stands for in a case, never a variant; null where the case is not like it.
    private static string? RowOf(string name, string pattern)
    {
        string[] ends = pattern.Split('*', 2);
        if (name.Length < pattern.Length || !name.StartsWith(ends[0], StringComparison.Ordinal) || !name.EndsWith(ends[1], StringComparison.Ordinal))
            return null;
        string row = name[ends[0].Length..^ends[1].Length];
        return row.Contains('@', StringComparison.Ordinal) ? null : row;
    }

    private static BenchmarkRecord[] Records(string file, Func<BenchmarkRecord, bool> wanted, string what)
    {
        BenchmarkRecord[] records = [.. BenchmarkRecord.Read(file).Where(wanted)];
        return records.Length > 0 ? records : throw new InvalidDataException($"{file}: no record of {what}");
    }

    private static string Origin(IReadOnlyCollection<BenchmarkRecord> records)
    {
        var text = new StringBuilder("\n");
        foreach (var run in records.GroupBy(r => (r.Machine, r.Date, r.Commit)))
        {
            string commits = string.Join(", ", run.Key.Commit.Split("; ").Select(commit => commit[..Math.Min(9, commit.Length)]));
            text.Append(CultureInfo.InvariantCulture, $"{run.Key.Machine}; {run.Key.Date}, commit {commits}; `{string.Join("`, `", run.Select(r => r.Command).Distinct())}`.\n");
        }
        return text.ToString();
    }

    private static bool IsTime(BenchmarkRecord record) => record.Unit is "µs" or "ms" or "s";

    private static string Number(double value) => value.ToString(value < 10 ? "G4" : "F1", CultureInfo.InvariantCulture);
}
