using System.CommandLine;
using System.Globalization;
using FastKron.Native.Benchmarking;
using FastKron.Native.Compute;
using FastKron.Native.Fisher;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron bench collect-8b</c>: times a whole collection on a model folder, such as <c>make-test-model</c> writes.</summary>
internal static class BenchCollectionCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "model folder with calibration.ids" };
        var gradients = new Option<int>("--gradients") { Description = "gradients per matrix", DefaultValueFactory = _ => 75 };
        var layers = new Option<int?>("--scale-to") { Description = "blocks of the whole model, where the folder has only some of them: its times are computed beside the measured ones" };
        var output = new Option<string?>("--output") { Description = "file of records, one JSON object a line" };
        Option<string> device = DeviceOption.Create();
        var command = new Command(CollectionBenchmark.Suite, "Time a whole collection of factors: fitted, hashed, dropped; every fourth block's are written.") { model, gradients, layers, output, device };
        command.SetAction((parsed, cancellationToken) =>
        {
            string folder = parsed.GetRequiredValue(model);
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            var benchmark = new CollectionBenchmark(folder, Path.Combine(folder, "calibration.ids"), folder)
            {
                Options = new FisherOptions { Gradients = parsed.GetValue(gradients) },
                Layers = parsed.GetValue(layers),
            };
            using var display = new ProgressDisplay(quiet: false);
            var progress = new SynchronousProgress<FisherProgress>(p =>
                display.Report(new Quantization.QuantizationProgress("factors", p.Fraction, p.Layer, p.Layers, p.Module, null, p.Elapsed)));
            BenchmarkRecord[] records = [.. benchmark.Run(backend, progress, cancellationToken)];
            display.Finish();
            if (parsed.GetValue(output) is { } path)
                BenchmarkRecord.Replace(path, records);
            Table table = Output.Table(CollectionBenchmark.Suite, "measured", "unit");
            foreach (BenchmarkRecord record in records)
                table.Row(record.Case, record.Value.ToString(CultureInfo.InvariantCulture), record.Unit);
            Output.Write(table);
            return Task.FromResult(0);
        });
        return command.WithExamples("fastkron bench collect-8b MODEL --scale-to 32 --output factors.jsonl");
    }
}
