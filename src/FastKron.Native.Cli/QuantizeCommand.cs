using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron quantize</c>: from a Hugging Face folder to a measured 2-, 3- or 4-bit model.</summary>
internal static class QuantizeCommand
{
    public static Command Create()
    {
        var job = new JobOptions();
        var bits = new Option<double>("--bits") { Description = "bits per weight: 2, 3 or 4, or an average between them such as 2.5, shared out among the matrices so that the predicted loss is least", Required = true };
        var mixed = new Option<bool>("--mixed") { Description = "share out a whole number of bits, too: at 3, some matrices get 2 and some 4" };
        var output = new Option<string>("--output") { Description = "folder to make; must not exist", Required = true };
        var code = new Option<string?>("--code") { Description = "trellis code: hyb, 1mad or 3inst, which QTIP's loader reads, too, mcg or mul1 (default: hyb at 2 bits, 1mad above)" };
        code.AcceptOnlyFromAmong([.. Enum.GetValues<TrellisCode>().Select(c => c.ToText())]);
        var format = new Option<string>("--format") { Description = "qtip (trellis codes) or dense (decoded weights, a standard bf16 model)", DefaultValueFactory = _ => "qtip" };
        format.AcceptOnlyFromAmong("qtip", "dense");
        var skip = new Option<string>("--skip") { Description = "linears left dense, by kind or matrix: gate,up or 0_q,3_down", DefaultValueFactory = _ => "" };
        var factorsFrom = new Option<string?>("--factors-from") { Description = "use the factor files of this folder: made by fastkron factors, or FastKron's (XF, YF) or YAQA's (*_hin.pt, *_hout.pt)" };
        var propagate = new Option<double?>("--propagate") { Description = "share, 0 to 1, in which each matrix makes up for what rounding those before it did to its inputs; 0: each on its own (default: 0.75 where calibration tokens come with the factors)" };
        var propagateTokens = new Option<int>("--propagate-tokens") { Description = "calibration tokens that are taken through the partly quantized model for that", DefaultValueFactory = _ => 65_536 };
        var dryRun = new Option<bool>("--dry-run") { Description = "print the plan and stop" };
        var evaluate = new Option<string?>("--evaluate") { Description = "afterwards measure original and result on this text: FILE, FILE:rows or self:TOKENS", HelpName = "TEXT" };
        var block = new Option<int?>("--block") { Description = "tokens of an evaluation block" };
        var maxBlocks = new Option<int?>("--max-blocks") { Description = "use only the first so many evaluation blocks" };
        var prompt = new Option<string?>("--prompt") { Description = "with --evaluate: a text that both models continue greedily" };
        var json = new Option<bool>("--json") { Description = "print the report, or with --dry-run the plan, as JSON" };
        var command = new Command("quantize", "Quantize a model.") { job.Model, bits, mixed, output, code, format, skip, factorsFrom, propagate, propagateTokens, dryRun, evaluate, block, maxBlocks, prompt, json };
        job.AddTo(command);
        command.Validators.Add(parsed =>
        {
            Option? alone = parsed.GetValue(evaluate) is not null ? null
                : parsed.GetValue(prompt) is not null ? prompt : parsed.GetValue(block) is not null ? block : parsed.GetValue(maxBlocks) is not null ? maxBlocks : null;
            if (alone is not null)
                parsed.AddError($"{alone.Name} goes with --evaluate TEXT");
            if (parsed.GetValue(factorsFrom) is not null && job.MakesFactors(parsed) is { } making)
                parsed.AddError($"{making} says how factors are made; --factors-from takes them as they are, with their tokens: give one of both");
        });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using IBackend backend = DeviceOption.Open(parsed.GetValue(job.Device));
            QuantizationOptions read = job.Read(parsed, parsed.GetRequiredValue(output)), options = read with
            {
                Propagate = parsed.GetValue(propagate) ?? read.Propagate,
                PropagatedTokens = parsed.GetValue(propagateTokens),
                Bits = parsed.GetRequiredValue(bits),
                Mixed = parsed.GetValue(mixed),
                Code = parsed.GetValue(code) is { } name ? Enum.GetValues<TrellisCode>().First(c => c.ToText() == name) : read.Code,
                Format = parsed.GetValue(format) == "dense" ? CheckpointFormat.Dense : CheckpointFormat.Qtip,
                Skip = JobOptions.Split(parsed.GetValue(skip)),
                FactorsFrom = parsed.GetValue(factorsFrom),
            };
            bool quiet = parsed.GetValue(json);
            QuantizationPlan plan = QuantizationPlan.Make(options, backend);
            if (!quiet)
                PlanTable.Write(plan);
            if (parsed.GetValue(dryRun))
            {
                if (quiet)
                    Console.WriteLine(JsonSerializer.Serialize(PlanReport.Of(plan), ReportJson.Default.PlanReport));
                return 0;
            }
            using var progress = new ProgressDisplay(quiet);
            EvaluationOptions? evaluation = parsed.GetValue(evaluate) is { } text
                ? new EvaluationOptions
                {
                    Model = options.Output,
                    Original = options.Model,
                    Texts = [text],
                    BlockLength = parsed.GetValue(block),
                    MaxBlocks = parsed.GetValue(maxBlocks),
                    Prompt = parsed.GetValue(prompt),
                    Warn = Output.Warn,
                    Seed = options.Seed + 1,     // never the text that self: calibration wrote
                }
                : null;
            QuantizationReport report = await QuantizationRun.QuantizeAsync(options, backend, FreshProcess.Digest(parsed.GetValue(job.Device)!), evaluation, progress, cancellationToken).ConfigureAwait(false);
            progress.Finish();
            if (quiet)
                Console.WriteLine(JsonSerializer.Serialize(report, ReportJson.Default.QuantizationReport));
            else
                Write(report);
            return 0;
        });
        return command.WithExamples(
            "fastkron quantize tests/models/tiny-llama --bits 2 --output tiny-2bit --dry-run",
            "fastkron quantize MODEL --bits 2 --output OUT --calibration text.jsonl wiki.txt:lines --evaluate wiki.valid.raw:rows --block 2048",
            "fastkron quantize MODEL --bits 4 --output OUT --factors-from FACTORS --skip 0_gate,down",
            "fastkron quantize MODEL --bits 3 --output OUT --format dense --factors activation");
    }

    private static void Write(QuantizationReport report)
    {
        Table table = Output.Table("", "original", "quantized");
        table.Row("code bits per weight", "", Number($"{report.Size.CodeBits:G6}"));
        table.Row("stored bits per weight, quantized linears", "", Number($"{report.Size.StoredBits:F3}"));
        table.Row("bits per weight, whole model", Number($"{report.Size.OriginalBits:F2}"), Number($"{report.Size.OutputBits:F2}"));
        table.Row("safetensors", ByteSize.ToText(report.Size.OriginalBytes), Number($"{ByteSize.ToText(report.Size.OutputBytes)} ({100 * report.Size.Ratio:F0} %)"));
        if (report.Evaluation is { } evaluation)
            EvaluationTable.AddRows(table, evaluation);
        foreach (StageReport stage in report.Stages)
        {
            table.Row($"seconds, {stage.Name}", "", Number($"{stage.Seconds:F1}"));
            foreach (StageReport part in stage.LastingParts())
                table.Row($"  {part.Name}", "", Number($"{part.Seconds:F1}"));
        }
        table.Row(report.ResumedSteps > 0 ? "seconds, total, of this run alone" : "seconds, total", "", Number($"{report.Stages.Sum(s => s.Seconds):F1}"));
        Output.Write(table);
        if (report.Evaluation is not null)
            EvaluationTable.WriteTexts(report.Evaluation);
        foreach (LinearReport linear in report.Linears.Where(l => l.Rounding.Fallback is not null))
            Output.Warn($"{linear.Name}: rounded by {linear.Rounding.Method}: {linear.Rounding.Fallback}");
        Console.WriteLine($"worst:     {report.LargestErrors(3)} (proxy error)");
        Console.WriteLine($"model:     {report.Output}");
        Console.WriteLine($"report:    {Path.Combine(report.Output, ReportFiles.Html)}");
        if (report.Evaluation is null)
            Console.WriteLine($"quality:   not measured; fastkron evaluate {report.Output} --kl {report.Model} --perplexity TEXT measures it");
    }

    private static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
