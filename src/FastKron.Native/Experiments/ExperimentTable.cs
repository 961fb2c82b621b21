using System.Globalization;
using FastKron.Native.Batch;
using FastKron.Native.Evaluation;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Reports;

namespace FastKron.Native.Experiments;

/// <summary>A mean over rotation seeds and blocks or documents.</summary>
/// <param name="Value">The mean.</param>
/// <param name="Error">Its standard error, from blocks or documents and from seeds.</param>
public sealed record ExperimentEstimate(double Value, double Error);

/// <summary>How a line differs from a rival at the same bits, paired by seed and by block or document.</summary>
/// <param name="Rival">Name of the rival's line.</param>
/// <param name="Divergence">Difference of the mean KLs; null where one is not measured.</param>
/// <param name="Low">Lower end of the 95 % interval of the difference of the average accuracies, by bootstrap of documents within tasks; null without tasks.</param>
/// <param name="Accuracy">The difference of the average accuracies.</param>
/// <param name="High">Upper end of its interval.</param>
public sealed record ExperimentDifference(string Rival, ExperimentEstimate? Divergence, double? Accuracy, double? Low, double? High);

/// <summary>A line of an experiment's table.</summary>
public sealed record ExperimentLine
{
    /// <summary>Name.</summary>
    public required string Name { get; init; }

    /// <summary>Name of its row, without the tokens.</summary>
    public required string Row { get; init; }

    /// <summary>Whether it is the original.</summary>
    public bool IsOriginal { get; init; }

    /// <summary>Calibration tokens asked for; null without factors.</summary>
    public int? Tokens { get; init; }

    /// <summary>Seeds that were measured; everything below is over them, and null where there are none.</summary>
    public required IReadOnlyList<ulong> Seeds { get; init; }

    /// <summary>Seeds that are wanted.</summary>
    public required int WantedSeeds { get; init; }

    /// <summary>Half-steps of the solver, or passes over the data: mean over the matrices.</summary>
    public double? Steps { get; init; }

    /// <summary>Seconds of the device from text to factors, once for all bits and seeds.</summary>
    public double? FactorSeconds { get; init; }

    /// <summary>Seconds of rounding the model once.</summary>
    public double? RoundingSeconds { get; init; }

    /// <summary>Matrices that had to be rounded by a weaker method, over all seeds.</summary>
    public int Fallbacks { get; init; }

    /// <summary>Stored bits per weight of the quantized linears.</summary>
    public double? StoredBits { get; init; }

    /// <summary>Mean KL divergence from the original in nats.</summary>
    public ExperimentEstimate? Divergence { get; init; }

    /// <summary>Mean KL of every seed, in the order of <see cref="Seeds"/>.</summary>
    public IReadOnlyList<double> DivergenceOfSeeds { get; init; } = [];

    /// <summary>Perplexity.</summary>
    public ExperimentEstimate? Perplexity { get; init; }

    /// <summary>Accuracy of every task.</summary>
    public IReadOnlyDictionary<string, ExperimentEstimate> Tasks { get; init; } = new Dictionary<string, ExperimentEstimate>();

    /// <summary>Unweighted mean accuracy of the tasks.</summary>
    public ExperimentEstimate? Average { get; init; }

    /// <summary>Differences to the rivals.</summary>
    public IReadOnlyList<ExperimentDifference> Differences { get; init; } = [];
}

/// <summary>The lines of one model at one rate.</summary>
/// <param name="Model">Name of the model.</param>
/// <param name="Bits">Bits per weight.</param>
/// <param name="Lines">Lines in the order of the settings; the original, where it is measured, is in every section.</param>
public sealed record ExperimentSection(string Model, double Bits, IReadOnlyList<ExperimentLine> Lines);

/// <summary>Where measurements come from.</summary>
/// <param name="Backend">Device.</param>
/// <param name="Engine">Version and commit of the engine.</param>
/// <param name="Date">Day.</param>
public sealed record ExperimentOrigin(string Backend, string Engine, string Date);

/// <summary>What an experiment found so far.</summary>
/// <param name="Title">Heading.</param>
/// <param name="Notes">What readers should know of the rows; null for nothing.</param>
/// <param name="Text">Text and protocol of the KL.</param>
/// <param name="Origins">Where the measurements come from.</param>
/// <param name="Sections">Model by model, bits by bits.</param>
/// <param name="Verdicts">What the numbers decide.</param>
/// <param name="Missing">Names of the cells that are not measured yet.</param>
public sealed record ExperimentTable(
    string Title, string? Notes, string Text, IReadOnlyList<ExperimentOrigin> Origins, IReadOnlyList<ExperimentSection> Sections, IReadOnlyList<ExperimentVerdict> Verdicts, IReadOnlyList<string> Missing)
{
    /// <summary>Makes the table of measured cells; null is a cell that is not measured yet.</summary>
    /// <exception cref="InvalidDataException">Cells of one model measured different originals, texts or task files.</exception>
    internal static ExperimentTable Of(ExperimentSettings settings, IReadOnlyList<(ExperimentCell Cell, BatchMeasurement? Measurement)> cells)
    {
        RequireAlike(cells);
        var sections = new List<ExperimentSection>();
        var verdicts = new List<ExperimentVerdict>();
        foreach (var model in cells.GroupBy(c => c.Cell.Model.Name))
        {
            foreach (double bits in model.Where(c => c.Cell.Job.Method != BatchMethods.Original).Select(c => c.Cell.Job.Bits).Distinct().Order())
            {
                MeasuredLine[] lines = [.. model.Where(c => c.Cell.Job.Method == BatchMethods.Original || c.Cell.Job.Bits == bits).GroupBy(c => c.Cell.Line).Select(line => new MeasuredLine(line.Key, [.. line]))];
                MeasuredLine[] rivals = [.. settings.Rivals.Select(name => lines.FirstOrDefault(l => l.Name == name)).OfType<MeasuredLine>()];
                sections.Add(new ExperimentSection(model.Key, bits, [.. lines.Select(line => line.Describe(rivals))]));
                foreach (ExperimentClaim claim in settings.Claims.Where(claim => claim.Bits?.Contains(bits) ?? true))
                {
                    MeasuredLine? line = Array.Find(lines, l => l.Name == claim.Line), against = Array.Find(lines, l => l.Name == claim.Against);
                    verdicts.Add(ExperimentVerdict.Of(claim, model.Key, bits, line?.Divergence, against?.Divergence));
                }
            }
        }
        BatchMeasurement[] measured = [.. cells.Select(c => c.Measurement).OfType<BatchMeasurement>()];
        ExperimentOrigin[] origins = [.. measured.Select(m => new ExperimentOrigin(m.Evaluation.Backend, m.Evaluation.Engine, m.Date)).Distinct()];
        string[] missing = [.. cells.Where(c => c.Measurement is null).Select(c => c.Cell.Job.Name)];
        TextReport? text = measured.FirstOrDefault()?.Evaluation.Texts[0];
        string described = text is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{text.Text}, {text.Divergence!.Protocol}, {text.Divergence.Blocks.Count} blocks");
        return new ExperimentTable(settings.Title, settings.Notes, described, origins, sections, [.. verdicts.OrderBy(v => settings.Claims.ToList().FindIndex(c => c.Text == v.Claim))], missing);
    }

    private static void RequireAlike(IReadOnlyList<(ExperimentCell Cell, BatchMeasurement? Measurement)> cells)
    {
        var seen = new Dictionary<(string Model, string What), (string Id, string File)>();
        foreach ((ExperimentCell cell, BatchMeasurement? measurement) in cells)
        {
            foreach ((string what, string id) in measurement is null ? [] : Ids(measurement.Evaluation))
            {
                if (!seen.TryAdd((cell.Model.Name, what), (id, cell.Job.Output)) && seen[(cell.Model.Name, what)] is var other && other.Id != id)
                    throw new InvalidDataException($"{cell.Job.Output}: found {what} {id}, expected {other.Id} as in {other.File}; delete one of the two");
            }
        }

        static IEnumerable<(string What, string Id)> Ids(EvaluationReport report)
        {
            yield return ("original", report.Original!.Hash[..12]);
            foreach (TextReport text in report.Texts)
                yield return ("text", $"{text.TextHash[..12]}, {text.Measured.Protocol}, {text.Measured.Blocks.Count} blocks");
            foreach (TaskReport task in report.Tasks)
                yield return (task.Task, $"{task.FileHash[..12]}, {task.Documents} documents");
        }
    }

    // A line with the values that its figures are means of.
    private sealed class MeasuredLine
    {
        private readonly ExperimentVariant _variant;
        private readonly SortedDictionary<ulong, BatchMeasurement> _seeds;
        private readonly int _wanted;

        public MeasuredLine(ExperimentVariant variant, IReadOnlyList<(ExperimentCell Cell, BatchMeasurement? Measurement)> cells)
        {
            (_variant, _wanted) = (variant, cells.Count);
            _seeds = new(cells.Where(c => c.Measurement is not null).ToDictionary(c => c.Cell.Job.Seed, c => c.Measurement!));
            Divergence = Sample(m => [.. m.Evaluation.Texts[0].Divergence!.Blocks]);
        }

        public string Name => _variant.Name;

        public SeededSample? Divergence { get; }

        private bool IsOriginal => _variant.Row.Method == BatchMethods.Original;

        private BatchMeasurement? Any => _seeds.Values.FirstOrDefault();

        // Not every seed need be measured on the tasks.
        private IReadOnlyList<TaskReport> Tasks => _seeds.Values.Select(m => m.Evaluation.Tasks).FirstOrDefault(tasks => tasks.Count > 0) ?? [];

        private IEnumerable<string> Averaged => TaskAverage.Averaged(Tasks).Select(t => t.Task);

        public ExperimentLine Describe(IReadOnlyList<MeasuredLine> rivals)
        {
            var line = new ExperimentLine { Name = Name, Row = _variant.Row.Name, IsOriginal = IsOriginal, Tokens = _variant.Tokens, Seeds = [.. _seeds.Keys], WantedSeeds = _wanted };
            if (Any is not { } any)
                return line;
            SeededSample losses = Sample(m => [.. m.Evaluation.Texts[0].Measured.Blocks])!;
            double perplexity = Math.Exp(losses.Mean);
            ExperimentEstimate[] averaged = [.. Averaged.Select(task => Estimate(Right(task)!))];
            return line with
            {
                Steps = any.Factors is { HalfSteps: > 0 } factors ? factors.HalfSteps : null,
                FactorSeconds = any.Factors?.Seconds,
                RoundingSeconds = any.RoundingSeconds > 0 ? _seeds.Values.Average(m => m.RoundingSeconds) : null,
                Fallbacks = _seeds.Values.Sum(m => m.Fallbacks),
                StoredBits = any.Evaluation.Model.LinearBits,
                Divergence = Estimate(Divergence!),
                DivergenceOfSeeds = Divergence!.SeedMeans,
                Perplexity = new ExperimentEstimate(perplexity, perplexity * losses.Error),
                Tasks = Tasks.ToDictionary(t => t.Task, t => Estimate(Right(t.Task)!)),
                Average = averaged.Length < 2 ? null : new ExperimentEstimate(averaged.Average(a => a.Value), Math.Sqrt(averaged.Sum(a => a.Error * a.Error)) / averaged.Length),
                Differences = [.. rivals.Where(rival => rival.Name != Name).Select(Against)],
            };
        }

        private ExperimentDifference Against(MeasuredLine rival)
        {
            SeededSample? divergence = rival.Divergence is null ? null : Divergence!.Minus(rival.Divergence);
            double[][] documents =
            [
                .. Averaged.Select(task => rival.Right(task) is { } its ? Right(task)!.Minus(its)?.Units : null).OfType<double[]>(),
            ];
            var difference = new ExperimentDifference(rival.Name, divergence is null ? null : Estimate(divergence), null, null, null);
            if (documents.Length < 2)
                return difference;
            (double low, double high) = PairedTests.Bootstrap(documents);
            return difference with { Accuracy = documents.Average(d => Statistics.Mean(d)), Low = low, High = high };
        }

        private SeededSample? Right(string task) => Sample(m => m.Right.GetValueOrDefault(task)?.Select(digit => (double)(digit - '0')).ToArray());

        private SeededSample? Sample(Func<BatchMeasurement, double[]?> values)
        {
            Dictionary<ulong, double[]> bySeed = _seeds.Select(seed => (seed.Key, Units: values(seed.Value))).Where(seed => seed.Units is not null).ToDictionary(seed => seed.Key, seed => seed.Units!);
            return bySeed.Count == 0 ? null : IsOriginal ? SeededSample.Unrotated(bySeed.Values.Single()) : new SeededSample(bySeed);
        }

        private static ExperimentEstimate Estimate(SeededSample sample) => new(sample.Mean, sample.Error);
    }
}
