using System.CommandLine;
using FastKron.Native.Compute;
using FastKron.Native.Quantization;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron factors</c>: only the Kronecker factors, for several quantize runs to share.</summary>
internal static class FactorsCommand
{
    public static Command Create()
    {
        var job = new JobOptions();
        var output = new Option<string>("--output") { Description = "folder to make; must not exist", Required = true };
        var skip = new Option<string>("--skip") { Description = "linears that need no factors, by kind or matrix", DefaultValueFactory = _ => "" };
        var command = new Command("factors", "Estimate Kronecker factors and keep them for quantize --factors-from.") { job.Model, output, skip };
        job.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            using IBackend backend = DeviceOption.Open(parsed.GetValue(job.Device));
            var progress = new ProgressDisplay(quiet: false);
            QuantizationOptions options = job.Read(parsed, parsed.GetRequiredValue(output)) with { Skip = JobOptions.Split(parsed.GetValue(skip)) };
            FactorRun.Execute(options, backend, progress, cancellationToken);
            progress.Finish();
            Console.WriteLine($"factors:   {options.Output}");
            return Task.FromResult(0);
        });
        return command;
    }
}
