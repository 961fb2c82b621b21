using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using FastKron.Native.Batch;
using FastKron.Native.Benchmarking;
using FastKron.Native.Compute;
using FastKron.Native.Experiments;
using FastKron.Native.Formats;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron experiment</c>: a table of models × methods × bits × rotation seeds, with errors, plots and what they decide.</summary>
internal static class ExperimentCommand
{
    private const string DataVariable = "FASTKRON_DATA";

    private static readonly string Help = $"""
        Run an experiment: quantize models by every method of its settings, measure each result, and write the table.
        SETTINGS is {string.Join(", ", ExperimentSettings.Known)}, or a file in the form of bench/published.json.
        Run again, it goes on where it stopped; to go on on another machine, carry OUTPUT/cells there.
        """;

    private static readonly Argument<string> Settings = new("SETTINGS") { Description = "name of settings that are part of the program, or a JSON file" };
    private static readonly Option<string[]> Models = new("--model")
    {
        Description = "Hugging Face folders; NAME=DIR gives a model another name than its folder's",
        HelpName = "DIR",
        Required = true,
        AllowMultipleArgumentsPerToken = true,
    };
    private static readonly Option<string> Data = new("--data")
    {
        Description = $"folder that the settings' texts and tasks are in (default: the environment variable {DataVariable}, else the current folder)",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable(DataVariable) ?? ".",
    };
    private static readonly Option<string> Results = new("--output") { Description = "folder for the cells (OUTPUT/cells), the table (.md, .html, .json), the plots (.svg) and the records (.jsonl)", Required = true };
    private static readonly Option<double[]> Bits = new("--bits") { Description = "of the settings' bits only these", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string[]> Rows = new("--rows") { Description = "of the settings' rows only those of these names", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string?> Records = new("--records") { Description = "folder whose quality.jsonl and tasks.jsonl also get the records, in the place of those of the same cases" };
    private static readonly Option<bool> Plan = new("--plan") { Description = "print what is not measured yet with its estimated cost, and stop" };
    private static readonly Option<bool> Tables = new("--tables") { Description = "measure nothing: write the table of the cells that are there, missing ones marked" };
    private static readonly Option<bool> Json = new("--json") { Description = "print the table, or the plan, as JSON" };

    public static Command Create()
    {
        var device = DeviceOption.Create();
        var command = new Command("experiment", Help) { Settings, Models, Data, Results, Bits, Rows, Records, Plan, Tables, Json, device };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var settings = ExperimentSettings.Read(parsed.GetRequiredValue(Settings));
            ExperimentModel[] models = [.. parsed.GetRequiredValue(Models).Select(ExperimentModel.Parse)];
            string output = parsed.GetRequiredValue(Results);
            var run = new ExperimentRun(settings, models, parsed.GetValue(Data)!, output, NullIfNone(parsed.GetValue(Bits)), NullIfNone(parsed.GetValue(Rows)));
            bool quiet = parsed.GetValue(Json);
            IReadOnlyList<BatchResult> results = [];
            if (!parsed.GetValue(Tables))
            {
                using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
                if (parsed.GetValue(Plan))
                    return Write(run.Plan(backend, cancellationToken), quiet);
                results = await MeasureAsync(run, backend, quiet, cancellationToken).ConfigureAwait(false);
            }
            ExperimentTable table = run.Read();
            Save(table, output, parsed.GetValue(Records), $"fastkron experiment {parsed.GetValue(Settings)} --model {string.Join(' ', models.Select(m => m.Name))}");
            if (quiet)
                Console.WriteLine(JsonSerializer.Serialize(table, ExperimentJson.Default.ExperimentTable));
            else
                Console.WriteLine(ExperimentReport.Markdown(table));
            foreach (BatchResult failed in results.Where(r => r.State == BatchState.Failed))
                Console.Error.WriteLine($"failed: {failed.Name}: {failed.Error}");
            return results.Any(r => r.State == BatchState.Failed) ? 1 : 0;
        });
        return command.WithExamples(
            "fastkron experiment published --model smollm2-135m=/models/smollm2 --data DATA --output RESULTS --plan",
            "fastkron experiment published --model tests/models/tiny-llama tests/models/tiny-qwen3 --output tiny-results --bits 2 --tables");
    }

    private static T[]? NullIfNone<T>(T[]? values) => values is { Length: > 0 } ? values : null;

    private static async Task<IReadOnlyList<BatchResult>> MeasureAsync(ExperimentRun run, IBackend backend, bool quiet, CancellationToken cancellationToken)
    {
        using var progress = new ProgressDisplay(quiet);
        int started = 0, wanted = run.Cells.Count(cell => !File.Exists(cell.Job.Output));
        IReadOnlyList<BatchResult> results = await run.ExecuteAsync(backend, Announce, progress, Output.Warn, cancellationToken).ConfigureAwait(false);
        progress.Finish();
        return results;

        void Announce(string name)
        {
            progress.Finish();
            bool collection = name.StartsWith("factors/", StringComparison.Ordinal);
            if (!quiet)
                Console.Error.WriteLine(collection ? $"== {name}" : string.Create(CultureInfo.InvariantCulture, $"== {++started} of {wanted}: {name}"));
        }
    }

    private static void Save(ExperimentTable table, string output, string? records, string command)
    {
        Directory.CreateDirectory(output);
        SaveText(Path.Combine(output, "table.md"), ExperimentReport.Markdown(table));
        SaveText(Path.Combine(output, "table.html"), ExperimentReport.Html(table));
        SaveText(Path.Combine(output, "table.json"), JsonSerializer.Serialize(table, ExperimentJson.Default.ExperimentTable) + "\n");
        foreach ((string name, string svg) in ExperimentReport.Plots(table))
            SaveText(Path.Combine(output, name), svg);
        foreach (IGrouping<string, BenchmarkRecord> suite in ExperimentRecords.Of(table, command).GroupBy(record => record.Suite))
        {
            BenchmarkRecord.Replace(Path.Combine(output, suite.Key + ".jsonl"), [.. suite]);
            if (records is not null)
                BenchmarkRecord.Merge(Path.Combine(records, suite.Key + ".jsonl"), [.. suite]);
        }
    }

    private static void SaveText(string path, string text) => AtomicFile.WriteAllBytes(path, Encoding.UTF8.GetBytes(text));

    private static int Write(IReadOnlyList<BatchCost> costs, bool quiet)
    {
        if (quiet)
            Console.WriteLine(JsonSerializer.Serialize(costs, BatchJson.Default.IReadOnlyListBatchCost));
        else
            BatchCommand.Write([.. costs.Where(cost => cost.Note != "finished")]);
        return costs.All(cost => cost.CanStart) ? 0 : 1;
    }
}
