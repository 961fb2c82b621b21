using System.CommandLine;
using System.Globalization;
using FastKron.Native.Compute;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron factors</c>: only the Kronecker factors, for several quantize runs to share.</summary>
internal static class FactorsCommand
{
    public static Command Create()
    {
        var job = new JobOptions();
        var output = new Option<string>("--output") { Description = "folder to make; must not exist", Required = true };
        var skip = new Option<string>("--skip") { Description = "linears that need no factors, by kind or matrix", DefaultValueFactory = _ => "" };
        var dryRun = new Option<bool>("--dry-run") { Description = "print the plan and stop" };
        var command = new Command("factors", "Estimate Kronecker factors and keep them for quantize --factors-from.") { job.Model, output, skip, dryRun };
        job.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            using IBackend backend = DeviceOption.Open(parsed.GetValue(job.Device));
            using var progress = new ProgressDisplay(quiet: false);
            QuantizationOptions options = job.Read(parsed, parsed.GetRequiredValue(output)) with { Skip = JobOptions.Split(parsed.GetValue(skip)) };
            QuantizationPlan plan = QuantizationPlan.Make(options, backend, factorsOnly: true);
            PlanTable.Write(plan);
            if (parsed.GetValue(dryRun))
                return Task.FromResult(0);
            IReadOnlyList<StageReport> stages = FactorRun.Execute(options, backend, progress, cancellationToken);
            progress.Finish();
            Table table = Output.Table("", "seconds");
            foreach (StageReport stage in stages)
            {
                table.Row(stage.Name, Seconds(stage));
                foreach (StageReport part in stage.LastingParts())
                    table.Row($"  {part.Name}", Seconds(part));
            }
            Output.Write(table);
            Console.WriteLine($"factors:   {options.Output}");
            return Task.FromResult(0);
        });
        return command.WithExamples(
            "fastkron factors tests/models/tiny-llama --output tiny-factors --tokens 4096 --gradients 8 --dry-run",
            "fastkron factors MODEL --output FACTORS --calibration text.jsonl --tokens 70000 --solver power");
    }

    private static string Seconds(StageReport stage) => stage.Seconds.ToString("F2", CultureInfo.InvariantCulture);
}
