using System.CommandLine;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron evaluate</c>: perplexity of a model, its distance from the original, its accuracy on zero-shot tasks.</summary>
internal static class EvaluateCommand
{
    private const string TaskFolderVariable = "FASTKRON_TASKS";

    private static readonly Argument<string> Model = new("MODEL") { Description = "folder of the model to measure, dense or quantized" };
    private static readonly Option<string[]> Texts = new("--perplexity")
    {
        Description = "texts, each also as .gz: FILE (blocks), FILE:rows (rows joined as WikiText tables are), FILE:pages (rolling/wikitext), FILE:gguf (gguf/512), FILE:c4 (blocks drawn from a C4 file), or self:TOKENS for text the model writes itself",
        HelpName = "TEXT",
        AllowMultipleArgumentsPerToken = true,
    };
    private static readonly Option<string?> Original = new("--kl") { Description = "folder of the original model: measure the distance from it on every text that is cut into blocks", HelpName = "BASE" };
    private static readonly Option<string> Divergence = new("--kl-protocol") { Description = "block (positions that predict a token, real vocabulary) or yaqa (all positions, padded vocabulary, blocks of 8192)", DefaultValueFactory = _ => "block" };
    private static readonly Option<int?> Block = new("--block") { Description = "tokens of a block, window or chunk (default: 2048, 4096, 512; or the model's context if shorter)" };
    private static readonly Option<int?> MaxBlocks = new("--max-blocks") { Description = "use only the first so many blocks, pages or chunks" };
    private static readonly Option<string> Tasks = new("--tasks")
    {
        Description = "comma-separated: arc_easy, arc_challenge, piqa, boolq, hellaswag, winogrande, lambada_openai, openbookqa; NAME=FILE names the file of one",
        DefaultValueFactory = _ => "",
    };
    private static readonly Option<string> TaskData = new("--task-data")
    {
        Description = $"folder of NAME.jsonl or NAME.jsonl.gz for every task named without a file (default: ${TaskFolderVariable}, or tasks)",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable(TaskFolderVariable) ?? "tasks",
        HelpName = "DIR",
    };
    private static readonly Option<string> Bos = new("--bos") { Description = "special tokens before a task's context: none (as published tables have it), tokenizer, or none,tokenizer for both", DefaultValueFactory = _ => "none" };
    private static readonly Option<int?> Limit = new("--limit") { Description = "measure only the first so many documents of each task" };
    private static readonly Option<int?> BatchTokens = new("--batch-tokens") { Description = "tokens of a forward pass (default: what suits the device); fewer take less memory" };
    private static readonly Option<string?> Prompt = new("--prompt") { Description = "a text that the models continue greedily" };
    private static readonly Option<string?> OutputFolder = new("--output") { Description = $"folder to make: {EvaluationResult.FileName} and a file of rows for each task, for fastkron compare", HelpName = "DIR" };
    private static readonly Option<bool> Json = new("--json") { Description = "print the result as JSON" };
    private static readonly Option<string> Device = DeviceOption.Create();

    public static Command Create()
    {
        Divergence.AcceptOnlyFromAmong("block", "yaqa");
        var command = new Command("evaluate", "Measure perplexity, KL divergence and zero-shot tasks.")
        {
            Model, Texts, Original, Divergence, Block, MaxBlocks, Tasks, TaskData, Bos, Limit, BatchTokens, Prompt, OutputFolder, Json, Device,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            EvaluationOptions options = Read(parsed);
            options.Check();
            bool json = parsed.GetValue(Json);
            using IBackend backend = DeviceOption.Open(parsed.GetValue(Device));
            using var progress = new ProgressDisplay(json);
            EvaluationReport report = ModelEvaluation.Run(
                options, backend,
                new SynchronousProgress<EvaluationProgress>(p => progress.Report(new QuantizationProgress(p.Stage, p.Fraction, -1, 0, null, null, p.Elapsed))), cancellationToken);
            progress.Finish();
            if (json)
                Console.WriteLine(JsonSerializer.Serialize(report, ReportJson.Default.EvaluationReport));
            else
                EvaluationTable.Write(report);
            return Task.FromResult(0);
        });
        return command.WithExamples(
            "fastkron evaluate tests/models/tiny-llama --perplexity self:512 --block 64 --device cpu",
            "fastkron evaluate OUT --kl MODEL --perplexity wiki.valid.raw:rows --block 2048 --prompt \"The old man\"",
            "fastkron evaluate OUT --tasks arc_easy,piqa,hellaswag --task-data TASKS --limit 200 --output RESULT");
    }

    private static EvaluationOptions Read(ParseResult parsed) => new()
    {
        Model = parsed.GetRequiredValue(Model),
        Original = parsed.GetValue(Original),
        Texts = parsed.GetValue(Texts) ?? [],
        BlockLength = parsed.GetValue(Block),
        MaxBlocks = parsed.GetValue(MaxBlocks),
        Divergence = parsed.GetValue(Divergence) == "yaqa" ? DivergenceProtocol.Yaqa : DivergenceProtocol.Block,
        Tasks = JobOptions.Split(parsed.GetValue(Tasks)),
        TaskFolder = parsed.GetRequiredValue(TaskData),
        BosModes = [.. JobOptions.Split(parsed.GetValue(Bos)).Select(BosModes.Parse)],
        Limit = parsed.GetValue(Limit),
        BatchTokens = parsed.GetValue(BatchTokens),
        Prompt = parsed.GetValue(Prompt),
        Output = parsed.GetValue(OutputFolder),
        Warn = Output.Warn,
    };
}
