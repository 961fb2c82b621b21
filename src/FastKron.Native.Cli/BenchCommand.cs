using System.CommandLine;
using System.Globalization;
using FastKron.Native.Benchmarking;
using FastKron.Native.Compute;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron bench</c>: times kernels against what the hardware allows.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var suites = new Argument<string[]>("SUITE")
        {
            Description = "what to time, any of: " + string.Join("; ", BenchmarkSuite.All.Select(s => $"{s.Name} ({s.Description})")),
            Arity = ArgumentArity.OneOrMore,
            HelpName = "SUITE",
        };
        suites.AcceptOnlyFromAmong([.. BenchmarkSuite.All.Select(s => s.Name)]);
        var rivals = new Option<string?>("--rivals") { Description = "records of other programs measured in the same session, such as bench/pytorch_rivals.py prints; shown beside our cases of the same name" };
        var output = new Option<string?>("--output") { Description = "file of records, one JSON object a line; the suites that were run replace their old records" };
        var json = new Option<bool>("--json") { Description = "print records as JSON lines" };
        var device = DeviceOption.Create();
        var command = new Command("bench", "Time kernels against what the hardware allows.") { suites, rivals, output, json, device };
        command.Subcommands.Add(BenchCollectionCommand.Create());
        command.Subcommands.Add(BenchRoundingCommand.Create());
        command.SetAction((parsed, cancellationToken) =>
        {
            IReadOnlyList<BenchmarkRecord> foreign = parsed.GetValue(rivals) is { } path ? [.. BenchmarkRecord.Read(path)] : [];
            string[] names = parsed.GetRequiredValue(suites);
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            using var timer = new OperationTimer(backend);
            foreach (BenchmarkSuite suite in BenchmarkSuite.All.Where(s => names.Contains(s.Name)))
                Run(suite, backend, timer, foreign, parsed.GetValue(output), parsed.GetValue(json), cancellationToken);
            return Task.FromResult(0);
        });
        return command.WithExamples("fastkron bench copy attention --output gpu.jsonl");
    }

    private static void Run(
        BenchmarkSuite suite, IBackend backend, OperationTimer timer, IReadOnlyList<BenchmarkRecord> rivals, string? output, bool json, CancellationToken cancellationToken)
    {
        var records = new List<BenchmarkRecord>();
        foreach (BenchmarkRecord record in suite.Run(backend, timer, rivals, $"fastkron bench {suite.Name}"))
        {
            cancellationToken.ThrowIfCancellationRequested();
            records.Add(record);
            if (json)
                Console.WriteLine(record.ToJson());
            else
                Console.Error.WriteLine($"{suite.Name} {record.Case}: {Number(record.Value)} {record.Unit}");
        }
        if (output is not null)
            BenchmarkRecord.Replace(output, records);
        if (json)
            return;
        Table table = Output.Table(suite.Name, "measured", "unit", "allowed", "of it", "rival", "its value", "faster by");
        foreach (BenchmarkRecord r in records)
        {
            bool time = r.Unit is "ms" or "µs";
            table.Row(
                r.Case, Number(r.Value), r.Unit, Number(r.Floor), Percent(time ? r.Floor / r.Value : r.Value / r.Floor),
                r.Rival ?? "", Number(r.RivalValue), Percent(time ? r.RivalValue / r.Value : r.Value / r.RivalValue));
        }
        Output.Write(table);
    }

    private static string Number(double? value) => value is { } v ? v.ToString("G4", CultureInfo.InvariantCulture) : "";

    private static string Percent(double? ratio) => ratio is { } r ? r.ToString("P0", CultureInfo.InvariantCulture) : "";
}
