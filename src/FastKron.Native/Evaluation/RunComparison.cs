using System.Globalization;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Reports;

namespace FastKron.Native.Evaluation;

/// <summary>A number of one run, and how it differs from that of the first run.</summary>
/// <param name="Value">The number.</param>
/// <param name="Error">Its standard error; null for what is no estimate.</param>
/// <param name="Difference">The paired difference to the first run's: of values, or of logarithms for perplexities; null for the first run, or where the first has none.</param>
/// <param name="Low">Lower end of its 95 % interval.</param>
/// <param name="High">Upper end of its 95 % interval.</param>
/// <param name="Probability">Of such a difference, or a larger one, between equal models (McNemar); null where no accuracy is compared.</param>
public sealed record ComparedNumber(double Value, double? Error, double? Difference = null, double? Low = null, double? High = null, double? Probability = null);

/// <summary>One measure over all runs. Runs are in one row only if protocol, data and number of documents or blocks are the same.</summary>
/// <param name="Measure">What was measured, for people.</param>
/// <param name="Kind">acc, acc_norm, perplexity, kl or bits.</param>
/// <param name="Id">Everything that must be equal for two numbers to be compared.</param>
/// <param name="Numbers">A number for each run; null where it has none of this id.</param>
public sealed record ComparedMeasure(string Measure, string Kind, string Id, IReadOnlyList<ComparedNumber?> Numbers);

/// <summary>Several runs beside each other, with paired tests against the first.</summary>
/// <param name="Names">Names of the runs.</param>
/// <param name="Models">Which models they measured.</param>
/// <param name="Measures">All measures, in the order of the first run that has them.</param>
public sealed record RunComparison(IReadOnlyList<string> Names, IReadOnlyList<MeasuredModel> Models, IReadOnlyList<ComparedMeasure> Measures)
{
    private const double HalfInterval = 1.96;                   // standard errors of a 95 % interval

    /// <summary>Compares runs with the first.</summary>
    /// <param name="runs">At least one.</param>
    public static RunComparison Of(IReadOnlyList<EvaluationResult> runs)
    {
        List<Sample>[] samples = [.. runs.Select(run => Samples(run).ToList())];
        List<string> ids = [.. samples.SelectMany(s => s).Select(s => s.Id).Distinct()];
        IEnumerable<ComparedMeasure> measures = ids.Select(id =>
        {
            Sample?[] row = [.. samples.Select(s => s.Find(sample => sample.Id == id))];
            Sample any = row.First(s => s is not null)!;
            return new ComparedMeasure(any.Measure, any.Kind, id, [.. row.Select((sample, run) => sample?.Against(run == 0 ? null : row[0]))]);
        });
        return new RunComparison(UniqueNames(runs), [.. runs.Select(r => r.Report.Model)], [.. measures]);
    }

    private static string[] UniqueNames(IReadOnlyList<EvaluationResult> runs)
        => [.. runs.Select((run, i) => runs.Count(r => r.Name == run.Name) > 1 ? string.Create(CultureInfo.InvariantCulture, $"{run.Name} ({i + 1})") : run.Name)];

    private static IEnumerable<Sample> Samples(EvaluationResult run)
    {
        EvaluationReport report = run.Report;
        yield return new Sample("stored bits per weight of the linears", "bits", "linear bits", report.Model.LinearBits, null, []);
        yield return new Sample("stored bits per parameter", "bits", "model bits", report.Model.ModelBits, null, []);
        foreach (TextReport text in report.Texts)
        {
            PerplexitySummary p = text.Measured;
            string id = $"{p.Protocol}, window {p.Window}, {p.Blocks.Count} blocks, {text.TextHash}";
            yield return new Sample($"perplexity, {p.Protocol}", "perplexity", id, p.Perplexity, p.StandardError, [[.. p.Blocks]]);
            if (text.Divergence is { } d)
                yield return new Sample($"mean KL, {d.Protocol}, {text.Text}", "kl", $"{d.Protocol}, {d.Blocks.Count} blocks, {text.TextHash}, of {report.Original!.Hash}", d.Mean, d.StandardError, [[.. d.Blocks]]);
        }
        (TaskReport Task, IReadOnlyList<TaskRow> Rows)[] tasks = [.. report.Tasks.Zip(run.Rows)];
        foreach ((TaskReport task, IReadOnlyList<TaskRow> rows) in tasks)
        {
            foreach (Sample sample in Samples(task, rows))
                yield return sample;
        }
        foreach (var mode in tasks.GroupBy(t => t.Task.BosMode))
        {
            TaskReport[] averaged = [.. TaskAverage.Averaged([.. mode.Select(t => t.Task)]).OrderBy(t => t.Task, StringComparer.Ordinal)];
            if (averaged.Length < 2)
                continue;
            TaskAverage average = TaskAverage.Of(averaged);
            yield return new Sample(
                $"average of {averaged.Length} tasks, BOS {mode.Key}", "acc", string.Join("; ", averaged.Select(Id)), average.Acc, average.AccError,
                [.. averaged.Select(task => Values(mode.First(t => t.Task == task).Rows, r => r.Acc))]);
        }
    }

    private static IEnumerable<Sample> Samples(TaskReport task, IReadOnlyList<TaskRow> rows)
    {
        string part = task.Documents < task.FileDocuments ? string.Create(CultureInfo.InvariantCulture, $", first {task.Documents}") : "", id = Id(task);
        string name = $"{task.Task}, {task.Split ?? "unknown set"}{part}, BOS {task.BosMode}";
        yield return new Sample(name, "acc", $"acc, {id}", task.Acc, task.AccError, [Values(rows, r => r.Acc)]);
        if (task.AccNorm is { } norm)
            yield return new Sample(name, "acc_norm", $"acc_norm, {id}", norm, task.AccNormError, [Values(rows, r => r.AccNorm!.Value)]);
        if (task.Perplexity is { } perplexity)
            yield return new Sample($"perplexity, {name}", "perplexity", $"perplexity, {id}", perplexity, task.PerplexityError, [Values(rows, r => -r.LogLikelihoods[0])]);
    }

    private static string Id(TaskReport task) => $"{task.Task} {task.Version}, {task.Protocol}, BOS {task.BosMode}, {task.Documents} documents of {task.FileHash}";

    private static double[] Values(IReadOnlyList<TaskRow> rows, Func<TaskRow, double> value) => [.. rows.Select(value)];

    // A number with the values it is the mean of (a perplexity: the exponential of that mean), by stratum.
    private sealed record Sample(string Measure, string Kind, string Id, double Value, double? Error, IReadOnlyList<double[]> Strata)
    {
        public ComparedNumber Against(Sample? first)
        {
            if (first is null || Strata.Count == 0)
                return new ComparedNumber(Value, Error);
            double[][] differences = [.. Strata.Zip(first.Strata, (mine, its) => mine.Zip(its, (a, b) => a - b).ToArray())];
            double difference = differences.Average(d => Statistics.Mean(d));
            if (!Kind.StartsWith("acc", StringComparison.Ordinal))
            {
                double error = HalfInterval * Statistics.StandardError(differences[0]);
                return new ComparedNumber(Value, Error, difference, difference - error, difference + error);
            }
            (double low, double high) = PairedTests.Bootstrap(differences);
            double? probability = differences.Length > 1 ? null : PairedTests.McNemar(differences[0].Count(d => d < 0), differences[0].Count(d => d > 0));
            return new ComparedNumber(Value, Error, difference, low, high, probability);
        }
    }
}
