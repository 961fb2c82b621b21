using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using FastKron.Native.TestModels;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron make-test-model</c>: a folder of a well-known model's shape with random weights, for measurements.</summary>
internal static class MakeTestModelCommand
{
    public static Command Create()
    {
        var preset = new Argument<string>("PRESET") { Description = string.Join(", ", TestModelPreset.All.Select(p => p.Name)), HelpName = "PRESET" };
        preset.AcceptOnlyFromAmong([.. TestModelPreset.All.Select(p => p.Name)]);
        var output = new Option<string>("--output") { Description = "folder to make; must not exist", Required = true };
        var blocks = new Option<int?>("--blocks") { Description = "decoder blocks (default: the model's)" };
        var tokens = new Option<int>("--tokens") { Description = "tokens of calibration.ids", DefaultValueFactory = _ => 712_500 };
        var seed = new Option<ulong>("--seed") { Description = "seed of all weights and ids", DefaultValueFactory = _ => 0UL };
        var command = new Command("make-test-model", "For developers: write a model of a known shape with random bf16 weights, and calibration.ids for --calibration.")
        {
            preset, output, blocks, tokens, seed,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            TestModelPreset chosen = TestModelPreset.All.First(p => p.Name == parsed.GetRequiredValue(preset));
            int layers = parsed.GetValue(blocks) ?? chosen.Layers;
            if (layers < 1)
                throw new ArgumentException($"--blocks {layers}: expected at least 1");
            string folder = parsed.GetRequiredValue(output);
            long start = Stopwatch.GetTimestamp();
            TestModelWriter.Write(chosen with { Layers = layers }, folder, parsed.GetValue(seed), parsed.GetValue(tokens), cancellationToken);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, bytes = new DirectoryInfo(folder).EnumerateFiles().Sum(f => f.Length);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"model:     {folder} ({bytes / 1e9:F2} GB in {seconds:F1} s, {bytes / seconds / 1e9:F2} GB/s)"));
            return Task.FromResult(0);
        });
        return command.WithExamples("fastkron make-test-model llama-3-8b --blocks 2 --output /tmp/blocks");
    }
}
