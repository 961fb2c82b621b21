using System.Globalization;
using FastKron.Native.Benchmarking;

namespace FastKron.Native.Experiments;

/// <summary>The numbers of an experiment as records of <c>bench/results</c>: suite <c>quality</c> for KLs and perplexities, <c>tasks</c> for accuracies.</summary>
public static class ExperimentRecords
{
    /// <summary>Every measured number, of lines with all their seeds, and every seed's KL; rivals are the first line that the settings compare with, and the original for accuracies.</summary>
    /// <param name="table">What was found.</param>
    /// <param name="command">Command that gives it again.</param>
    public static IEnumerable<BenchmarkRecord> Of(ExperimentTable table, string command)
    {
        var originals = new HashSet<string>(StringComparer.Ordinal);
        foreach (ExperimentSection section in table.Sections)
        {
            ExperimentLine? original = section.Lines.FirstOrDefault(line => line.IsOriginal);
            foreach (ExperimentLine line in section.Lines.Where(line => line.Seeds.Count > 0))
            {
                if (line.IsOriginal && !originals.Add(section.Model))
                    continue;
                string place = line.IsOriginal ? $"{section.Model}/16bit/{line.Name}" : string.Create(CultureInfo.InvariantCulture, $"{section.Model}/{section.Bits}bit/{line.Name}");
                ExperimentLine? rival = line.Differences.Count > 0 ? section.Lines.First(other => other.Name == line.Differences[0].Rival) : null;
                rival = rival is not null && IsWhole(rival) ? rival : null;
                BenchmarkRecord Record(string suite, string name, double value, string unit, string? than = null, double? its = null) => new()
                {
                    Suite = suite,
                    Case = name,
                    Value = value,
                    Unit = unit,
                    Rival = its is null ? null : than,
                    RivalValue = its,
                    Machine = Joined(table, origin => origin.Backend),
                    Date = Joined(table, origin => origin.Date),
                    Commit = Joined(table, origin => origin.Engine[(origin.Engine.IndexOf('+', StringComparison.Ordinal) + 1)..]),
                    Command = command,
                };
                for (int s = 0; s < line.Seeds.Count && line.WantedSeeds > 1; s++)
                    yield return Record("quality", string.Create(CultureInfo.InvariantCulture, $"{place}@seed-{line.Seeds[s]}"), line.DivergenceOfSeeds[s], "kl");
                if (!IsWhole(line))
                    continue;
                if (!line.IsOriginal)
                    yield return Record("quality", place, line.Divergence!.Value, "kl", rival?.Name, rival?.Divergence?.Value);
                yield return Record("quality", $"{place}/perplexity", line.Perplexity!.Value, "ppl", original?.Name, line.IsOriginal ? null : original?.Perplexity?.Value);
                foreach ((string task, ExperimentEstimate accuracy) in line.Tasks)
                    yield return Record("tasks", $"{task}/{place}", accuracy.Value, "acc", original?.Name, line.IsOriginal ? null : original?.Tasks.GetValueOrDefault(task)?.Value);
                if (line.Average is { } average)
                    yield return Record("tasks", $"average/{place}", average.Value, "acc", original?.Name, line.IsOriginal ? null : original?.Average?.Value);
            }
        }
    }

    // The mean of some seeds would stand as that of all.
    private static bool IsWhole(ExperimentLine line) => line.Seeds.Count == line.WantedSeeds;

    private static string Joined(ExperimentTable table, Func<ExperimentOrigin, string> part) => string.Join("; ", table.Origins.Select(part).Distinct());
}
