using System.Globalization;
using FastKron.Native.Batch;
using FastKron.Native.Compute;
using FastKron.Native.Quantization;

namespace FastKron.Native.Experiments;

/// <summary>A model of an experiment.</summary>
/// <param name="Name">Name in tables and records.</param>
/// <param name="Folder">Hugging Face folder; needed only to run.</param>
public sealed record ExperimentModel(string Name, string Folder)
{
    /// <summary>From <c>FOLDER</c>, which gives the name too, or <c>NAME=FOLDER</c>.</summary>
    /// <exception cref="ArgumentException">No name.</exception>
    public static ExperimentModel Parse(string argument)
    {
        string[] parts = argument.Split('=', 2);
        string folder = parts[^1], name = parts.Length == 2 ? parts[0] : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        return name.Length > 0 && folder.Length > 0 && name.AsSpan().IndexOfAny(Path.GetInvalidFileNameChars()) < 0
            ? new ExperimentModel(name, folder)
            : throw new ArgumentException($"--model {argument}: expected FOLDER or NAME=FOLDER");
    }
}

/// <summary>One measurement that an experiment wants.</summary>
/// <param name="Model">The model.</param>
/// <param name="Line">The line of the table.</param>
/// <param name="Job">The job of a batch that makes it.</param>
public sealed record ExperimentCell(ExperimentModel Model, ExperimentVariant Line, BatchJob Job);

/// <summary>Runs the cells of an experiment as a batch of jobs that are only measured, and reads what is finished.</summary>
/// <remarks>
/// A finished cell is a JSON file of some ten kilobytes in <c>cells</c> of the output; nothing else has to be kept or carried to another machine for the
/// experiment to go on. Cells of one line share their factors, and all cells of a model the measurement of the original.
/// </remarks>
public sealed class ExperimentRun
{
    private readonly string _work;

    /// <summary>Lists the cells.</summary>
    /// <param name="settings">What is measured.</param>
    /// <param name="models">Models, each with a name of its own.</param>
    /// <param name="data">Folder of texts and tasks.</param>
    /// <param name="output">Folder of the results.</param>
    /// <param name="bits">Of the settings' bits only these; null for all.</param>
    /// <param name="rows">Of the settings' rows only those of these names; null for all.</param>
    /// <exception cref="ArgumentException">Two models of one name, an unknown row, or no cell.</exception>
    public ExperimentRun(ExperimentSettings settings, IReadOnlyList<ExperimentModel> models, string data, string output, IReadOnlyCollection<double>? bits = null,
        IReadOnlyCollection<string>? rows = null)
    {
        if (models.GroupBy(m => m.Name).FirstOrDefault(g => g.Count() > 1)?.Key is { } twice)
            throw new ArgumentException($"--model: found {twice} twice, expected every name once; give NAME=FOLDER");
        if (rows?.FirstOrDefault(name => settings.Rows.All(row => row.Name != name)) is { } unknown)
            throw new ArgumentException($"--rows {unknown}: expected some of {string.Join(", ", settings.Rows.Select(row => row.Name).Distinct())}");
        (Settings, _work) = (settings, Path.Combine(output, "work"));
        Cells = [.. models.SelectMany(model => settings.Variants.Where(line => rows?.Contains(line.Row.Name) ?? true).SelectMany(line => CellsOf(settings, model, line, data, Path.Combine(output, "cells"), bits)))];
        if (Cells.Count == 0 || (bits is not null && Cells.All(cell => cell.Job.Method == BatchMethods.Original)))
            throw new ArgumentException($"--bits {string.Join(',', bits ?? [])}: expected some of {string.Join(", ", settings.Bits)}");
    }

    /// <summary>What is measured.</summary>
    public ExperimentSettings Settings { get; }

    /// <summary>All cells: model by model, line by line.</summary>
    public IReadOnlyList<ExperimentCell> Cells { get; }

    /// <summary>Estimates what is not finished.</summary>
    /// <param name="backend">Where it would run.</param>
    /// <param name="cancellationToken">Checked for every cell.</param>
    public IReadOnlyList<BatchCost> Plan(IBackend backend, CancellationToken cancellationToken = default) => Batch(backend, null).Plan(cancellationToken);

    /// <summary>Runs the cells that are not finished. A cell that fails does not stop the others.</summary>
    /// <param name="backend">Where.</param>
    /// <param name="onStart">Is told the name of each cell and collection as it starts.</param>
    /// <param name="progress">Where the cell in work stands.</param>
    /// <param name="warn">Is told what stops nothing but should be known.</param>
    /// <param name="cancellationToken">Ends it; finished cells stay, and the next run goes on from them.</param>
    public async Task<IReadOnlyList<BatchResult>> ExecuteAsync(
        IBackend backend, Action<string>? onStart = null, IProgress<QuantizationProgress>? progress = null, Action<string>? warn = null, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<BatchResult> results = await Batch(backend, warn).ExecuteAsync(NothingWritten, onStart, progress, cancellationToken).ConfigureAwait(false);
        if (Directory.Exists(_work) && !Directory.EnumerateFileSystemEntries(_work).Any())
            Directory.Delete(_work);
        return results;

        static Task<string> NothingWritten(string folder, CancellationToken cancellationToken) => throw new InvalidOperationException($"{folder}: a job that is only measured writes no model");
    }

    /// <summary>The table of what is finished.</summary>
    /// <exception cref="InvalidDataException">A cell is damaged, or was made with other settings, or cells of a model measured different things.</exception>
    public ExperimentTable Read() => ExperimentTable.Of(Settings, [.. Cells.Select(cell => (cell, Find(cell.Job)))]);

    private BatchRun Batch(IBackend backend, Action<string>? warn) => new([.. Cells.Select(cell => cell.Job)], _work, keepFactors: false, backend, warn);

    private static BatchMeasurement? Find(BatchJob job)
    {
        if (!File.Exists(job.Output))
            return null;
        var measurement = BatchMeasurement.Read(job.Output);
        BatchSettings.RequireSame(job, measurement.Settings, job.Output, "the file");
        return measurement;
    }

    private static IEnumerable<ExperimentCell> CellsOf(ExperimentSettings settings, ExperimentModel model, ExperimentVariant line, string data, string folder, IReadOnlyCollection<double>? only)
    {
        BatchEntry entry = settings.Entry(model.Folder, data, line) with { Name = model.Name };
        bool original = line.Row.Method == BatchMethods.Original;
        foreach (double bits in entry.Bits.Where(bits => original || only is null || only.Contains(bits)))
        {
            foreach (ulong seed in entry.RotationSeeds!)
            {
                string name = original ? $"{model.Name}-{line.Name}" : string.Create(CultureInfo.InvariantCulture, $"{model.Name}-{line.Name}-{bits}bit-seed{seed}");
                yield return new ExperimentCell(model, line, new BatchJob(folder, entry, line.Row.Method, bits, seed, name));
            }
        }
    }
}
