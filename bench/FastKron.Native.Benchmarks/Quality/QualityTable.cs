using System.Globalization;
using FastKron.Native.Benchmarking;
using FastKron.Native.Benchmarks.Results;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;

namespace FastKron.Native.Benchmarks.Quality;

/// <summary>KL of every factor source on the two tiny models: the table of the README, with paired errors over blocks and rotation seeds.</summary>
/// <remarks>64 gradients of 1,024 tokens of the shared c4 and wiki text; kl/block/256 on the first 64 blocks of wiki.valid.raw; the same seeds for every method.</remarks>
internal sealed class QualityTable(string repository, string shared)
{
    private const int Gradients = 64, TokensPerGradient = 1024, BlockLength = 256, MaxBlocks = 64;
    private const string Reference = "ldlq";

    private static readonly string[] Models = ["tiny-llama", "tiny-qwen3"];
    private static readonly ulong[] Seeds = [0, 1, 2];

    private static readonly (string Name, FisherOptions? Options)[] Methods =
    [
        ("fastkron", new FisherOptions { Gradients = Gradients }),
        ("fastkron-power", new FisherOptions { Gradients = Gradients, Solver = new SolverOptions { Kind = SolverKind.Power } }),
        ("fastkron-lanczos", new FisherOptions { Gradients = Gradients, Solver = new SolverOptions { Kind = SolverKind.Lanczos } }),
        (Reference, new FisherOptions { Gradients = Gradients, Source = FactorSource.Activation }),
        ("none", null),
    ];

    private readonly CpuBackend _backend = new();
    private readonly string _scratch = Directory.CreateTempSubdirectory("fastkron-quality-").FullName;

    /// <summary>Measures everything and replaces the suite in bench/results/quality.jsonl.</summary>
    public async Task RunAsync()
    {
        var records = new List<BenchmarkRecord>();
        foreach (string model in Models)
        {
            var blocks = new Dictionary<string, double[]>(StringComparer.Ordinal);   // of every seed behind each other: pairs across methods
            foreach ((string method, FisherOptions? fisher) in Methods)
            {
                string? factors = fisher is null ? null : MakeFactors(model, method, fisher);
                foreach (int bits in method == "fastkron" ? new[] { 2, 4 } : [2])
                    blocks[$"{model}/{bits}bit/{method}"] = await MeasureAsync(model, method, bits, factors, records).ConfigureAwait(false);
            }
            Summarise(model, blocks, records);
        }
        BenchmarkRecord.Replace(Path.Combine(repository, "bench", "results", "quality.jsonl"), records);
        Directory.Delete(_scratch, recursive: true);
    }

    private string MakeFactors(string model, string method, FisherOptions fisher)
    {
        string output = Path.Combine(_scratch, model, method);
        FactorRun.Execute(Options(model, output) with { Fisher = fisher }, _backend);
        return output;
    }

    private async Task<double[]> MeasureAsync(string model, string method, int bits, string? factors, List<BenchmarkRecord> records)
    {
        var all = new List<double>();
        foreach (ulong seed in Seeds)
        {
            QuantizationOptions options = Options(model, Path.Combine(_scratch, $"{model}-{method}-{bits}-{seed}")) with
            {
                Bits = bits,
                Seed = seed,
                FactorsFrom = factors,
                Fisher = factors is null ? null : new FisherOptions(),
            };
            var evaluation = new EvaluationOptions
            {
                Model = options.Output,
                Original = options.Model,
                Texts = [Path.Combine(shared, "data", "text", "wikitext2", "wiki.valid.raw") + ":rows"],
                BlockLength = BlockLength,
                MaxBlocks = MaxBlocks,
            };
            var report = await QuantizationRun.QuantizeAsync(
                options, _backend, (folder, token) => Task.FromResult(ModelDigest.OfFolder(folder, _backend, token)), evaluation).ConfigureAwait(false);
            TextReport text = report.Evaluation!.Texts.Single();
            DivergenceSummary divergence = text.Divergence!;
            all.AddRange(divergence.Blocks);
            string name = $"{model}/{bits}bit/{method}@seed-{seed}";
            records.Add(Record(name, divergence.Mean));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-42} KL {divergence.Mean:F4} ± {divergence.StandardError:F4}  perplexity {text.Measured.Perplexity:F2}"));
            Directory.Delete(options.Output, recursive: true);
        }
        return [.. all];
    }

    private static void Summarise(string model, Dictionary<string, double[]> blocks, List<BenchmarkRecord> records)
    {
        double[] reference = blocks[$"{model}/2bit/{Reference}"];
        foreach ((string name, double[] values) in blocks)
        {
            double mean = Statistics.Mean(values);
            double[] perBlock = MeanOverSeeds(values);
            bool comparable = name.Contains("/2bit/", StringComparison.Ordinal) && !name.EndsWith(Reference, StringComparison.Ordinal);
            records.Add(Record(name, mean) with { Rival = comparable ? Reference : null, RivalValue = comparable ? Statistics.Mean(reference) : null });
            double[] seeds = [.. Enumerable.Range(0, Seeds.Length).Select(s => Statistics.Mean(values.AsSpan(s * MaxBlocks, MaxBlocks)))];
            string paired = comparable
                ? string.Create(CultureInfo.InvariantCulture, $"; minus {Reference} {mean - Statistics.Mean(reference):F4} ± {Statistics.PairedStandardError(perBlock, MeanOverSeeds(reference)):F4}")
                : "";
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{name,-32} KL {mean:F4} ± {Statistics.StandardError(perBlock):F4}, seeds {seeds.Min():F4} … {seeds.Max():F4}{paired}"));
        }
    }

    // The unit of the paired test is the block: its mean over the seeds.
    private static double[] MeanOverSeeds(double[] values)
        => [.. Enumerable.Range(0, MaxBlocks).Select(b => Seeds.Select((_, s) => values[s * MaxBlocks + b]).Average())];

    private QuantizationOptions Options(string model, string output) => new()
    {
        Model = Path.Combine(repository, "tests", "models", model),
        Output = output,
        Tokens = Gradients * TokensPerGradient,
        Calibration = [Path.Combine(shared, "data", "text", "calibration", "c4.utf8") + ":lines", Path.Combine(shared, "data", "text", "calibration", "wiki.utf8") + ":doc"],
    };

    private static BenchmarkRecord Record(string name, double value) => new() { Suite = "quality", Case = name, Value = value, Unit = "kl", Machine = MachineName.Cpu, Command = "./build.sh bench quality" };
}
