using System.CommandLine;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron evaluate</c>: perplexity of a model and its distance from the original.</summary>
internal static class EvaluateCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "folder of the model to measure, dense or quantized" };
        var text = new Option<string>("--perplexity") { Description = "UTF-8 text file, FILE:rows to join its rows as WikiText tables do, or self:TOKENS for text the model writes itself", Required = true, HelpName = "TEXT" };
        var original = new Option<string?>("--kl") { Description = "folder of the original model: measure the distance from it", HelpName = "BASE" };
        var block = new Option<int?>("--block") { Description = "tokens of a block (default: 2048, or the model's context if shorter)" };
        var maxBlocks = new Option<int?>("--max-blocks") { Description = "use only the first so many blocks" };
        var prompt = new Option<string?>("--prompt") { Description = "a text that the models continue greedily" };
        var json = new Option<bool>("--json") { Description = "print the result as JSON" };
        var device = DeviceOption.Create();
        var command = new Command("evaluate", "Measure perplexity and KL divergence.") { model, text, original, block, maxBlocks, prompt, json, device };
        command.SetAction((parsed, cancellationToken) =>
        {
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            var progress = new ProgressDisplay(parsed.GetValue(json));
            var clock = System.Diagnostics.Stopwatch.StartNew();
            var options = new EvaluationOptions
            {
                Model = parsed.GetRequiredValue(model),
                Original = parsed.GetValue(original),
                Text = parsed.GetRequiredValue(text),
                BlockLength = parsed.GetValue(block),
                MaxBlocks = parsed.GetValue(maxBlocks),
                Prompt = parsed.GetValue(prompt),
                Warn = Output.Warn,
            };
            EvaluationReport report = ModelEvaluation.Run(
                options, backend, new SynchronousProgress<double>(f => progress.Report(new QuantizationProgress("evaluation", f, -1, 0, null, null, clock.Elapsed))), cancellationToken);
            if (parsed.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(report, ReportJson.Default.EvaluationReport));
            else
                EvaluationTable.Write(report);
            return Task.FromResult(0);
        });
        return command;
    }
}
