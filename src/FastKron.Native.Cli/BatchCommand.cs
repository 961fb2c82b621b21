using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FastKron.Native.Batch;
using FastKron.Native.Compute;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron batch</c>: many models, methods and rates in one process.</summary>
internal static class BatchCommand
{
    private const string Help = """
        Quantize many models by many methods at many rates, factors shared.
        Run again, it goes on where it stopped. JOBS is a file such as
          {"output": "results", "jobs": [{"model": "models/tiny-llama", "methods": ["none", "activation", "likelihood"], "bits": [2, 3, 4], "evaluate": "self:16384"}]}
        Methods: none, activation (LDLQ), likelihood, power, lanczos, published, per-sequence, token-likelihood, sketch-a, sketch-b, original. Other fields of a job: name, format (qtip or dense),
        skip, factors_from, calibration, tokens, gradients, half_steps, context, seed, rounding (default or published), propagate, block, max_blocks, tasks, task_folder, limit: as the options of quantize and evaluate.
        options names single options of rounding, such as {"code": "1mad", "window": 64}: code, relative_scale, equalize, fit_scales, damping_out, damping_in, window.
        rotation_seeds is a list: a job for each. With measure_only true a job leaves what it measured and no model. Factors are collected once for all rates and rotation seeds.
        """;

    public static Command Create()
    {
        var jobs = new Argument<string>("JOBS") { Description = "JSON file with the jobs" };
        var plan = new Option<bool>("--plan") { Description = "print what every job will need, and stop" };
        var json = new Option<bool>("--json") { Description = "print the summary or the plan as JSON" };
        var device = DeviceOption.Create();
        var command = new Command("batch", Help) { jobs, plan, json, device };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            BatchFile file = BatchFile.Read(parsed.GetRequiredValue(jobs));
            bool quiet = parsed.GetValue(json);
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            var run = new BatchRun(file, backend, Output.Warn);
            if (parsed.GetValue(plan))
            {
                IReadOnlyList<BatchCost> costs = run.Plan(cancellationToken);
                if (quiet)
                    Console.WriteLine(JsonSerializer.Serialize(costs, BatchJson.Default.IReadOnlyListBatchCost));
                else
                    Write(costs);
                return costs.All(cost => cost.CanStart) ? 0 : 1;
            }
            using var progress = new ProgressDisplay(quiet);
            IReadOnlyList<BatchResult> results = await run.ExecuteAsync(FreshProcess.Digest(parsed.GetValue(device)!), Announce, progress, cancellationToken).ConfigureAwait(false);
            progress.Finish();
            if (quiet)
                Console.WriteLine(JsonSerializer.Serialize(results, BatchJson.Default.IReadOnlyListBatchResult));
            else
                Write(results);
            return results.Any(result => result.State == BatchState.Failed) ? 1 : 0;

            void Announce(string name)
            {
                progress.Finish();
                if (!quiet)
                    Console.Error.WriteLine($"== {name}");
            }
        });
        return command.WithExamples(
            "fastkron batch JOBS.json --plan",
            "fastkron batch JOBS.json --device cuda:0 --json");
    }

    /// <summary>A table of costs.</summary>
    public static void Write(IReadOnlyList<BatchCost> costs)
    {
        Table table = Output.Table("job (estimates)", "M weights", "memory, GB", "disk, GB", "seconds", "");
        foreach (BatchCost cost in costs)
            table.Row(cost.Name, Number($"{cost.Weights / 1e6:F2}"), Number($"{cost.MemoryBytes / 1e9:F3}"), Number($"{cost.DiskBytes / 1e9:F3}"), Number($"{cost.Seconds:F0}"), cost.Note ?? "");
        table.Row("all", "", Number($"{costs.Select(cost => cost.MemoryBytes).DefaultIfEmpty().Max() / 1e9:F3}"), Number($"{costs.Sum(cost => cost.DiskBytes) / 1e9:F3}"), Number($"{costs.Sum(cost => cost.Seconds):F0}"), "");
        Output.Write(table);
    }

    private static void Write(IReadOnlyList<BatchResult> results)
    {
        Table table = Output.Table("job", "", "stored bits", "perplexity", "original", "mean KL, nats", "accuracy", "seconds");
        foreach (BatchResult r in results)
        {
            table.Row(
                r.Name, r.State.ToString().ToLowerInvariant(), Number($"{r.StoredBits:F3}"), Number($"{r.Perplexity:F3}"), Number($"{r.OriginalPerplexity:F3}"),
                r.Divergence is null ? "" : Number($"{r.Divergence:F4} ± {r.DivergenceError:F4}"), Number($"{r.Accuracy:F4}"), Number($"{r.Seconds:F1}"));
        }
        Output.Write(table);
        foreach (BatchResult failed in results.Where(r => r.State == BatchState.Failed))
            Console.Error.WriteLine($"failed: {failed.Name}: {failed.Error}");
    }

    private static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
