using System.CommandLine;
using System.Globalization;
using FastKron.Native.Benchmarking;
using FastKron.Native.Compute;
using FastKron.Native.Quantization;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron bench round-8b</c>: times the rounding of a whole model folder, such as <c>make-test-model</c> writes, with factors made here.</summary>
internal static class BenchRoundingCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "model folder; beside it, MODEL.rounding is made and deleted again" };
        var bits = new Option<int>("--bits") { Description = "bits per weight: 2, 3 or 4", DefaultValueFactory = _ => 2 };
        bits.AcceptOnlyFromAmong("2", "3", "4");
        var layers = new Option<int?>("--scale-to") { Description = "blocks of the whole model, where the folder has only some of them: its times are computed beside the measured ones" };
        var output = new Option<string?>("--output") { Description = "file of records, one JSON object a line" };
        Option<string> device = DeviceOption.Create();
        var command = new Command(ModelRoundingBenchmark.Suite, "Time the rounding of a whole model with synthetic factors, and the writing of its checkpoint, which is dropped.") { model, bits, layers, output, device };
        command.SetAction((parsed, cancellationToken) =>
        {
            string folder = parsed.GetRequiredValue(model);
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            var benchmark = new ModelRoundingBenchmark(folder, Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + ".rounding")
            {
                Bits = parsed.GetValue(bits),
                Layers = parsed.GetValue(layers),
            };
            using var display = new ProgressDisplay(quiet: false);
            BenchmarkRecord[] records = [.. benchmark.Run(backend, new SynchronousProgress<QuantizationProgress>(display.Report), cancellationToken)];
            display.Finish();
            if (parsed.GetValue(output) is { } path)
                BenchmarkRecord.Replace(path, records);
            Table table = Output.Table(ModelRoundingBenchmark.Suite, "measured", "unit", "allowed");
            foreach (BenchmarkRecord record in records)
                table.Row(record.Case, record.Value.ToString(CultureInfo.InvariantCulture), record.Unit, record.Floor?.ToString(CultureInfo.InvariantCulture) ?? "");
            Output.Write(table);
            return Task.FromResult(0);
        });
        return command.WithExamples("fastkron bench round-8b MODEL --scale-to 32 --output rounding.jsonl");
    }
}
