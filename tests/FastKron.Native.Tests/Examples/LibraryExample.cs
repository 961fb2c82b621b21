using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Cuda;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Tests.Examples;

/// <summary>The code of <c>src/FastKron.Native/README.md</c>: what stands there is cut from here, and <see cref="LibraryExampleTests"/> compares and runs it.</summary>
internal static class LibraryExample
{
    public static IBackend OpenBackend()
    {
        // snippet: backend
        IBackend backend = CudaContext.IsAvailable ? new GpuBackend(0) : new CpuBackend();
        // end
        return backend;
    }

    public static async Task<QuantizationReport> QuantizeAsync(string model, string output, IBackend backend, CancellationToken cancellationToken)
    {
        // snippet: quantize
        var options = new QuantizationOptions
        {
            Model = model,
            Output = output,
            Bits = 2,
            Calibration = ["self:"],                            // text that the model writes itself; or files, as on the command line
            Tokens = 2048,
            Context = 64,
            Fisher = new FisherOptions { Gradients = 8 },
        };
        var evaluation = new EvaluationOptions { Model = output, Original = model, Texts = ["self:1024"], BlockLength = 64 };
        QuantizationReport report = await QuantizationRun.QuantizeAsync(
            options, backend, (folder, token) => Task.FromResult(ModelDigest.OfFolder(folder, backend, token)), evaluation, progress: null, cancellationToken);

        DivergenceSummary divergence = report.Evaluation!.Texts[0].Divergence!;
        Console.WriteLine($"{report.Size.StoredBits:F2} bits per weight, mean KL {divergence.Mean:F4} ± {divergence.StandardError:F4} nats");
        // end
        return report;
    }

    public static List<double> Compare(string model, string factors, IBackend backend)
    {
        List<double> divergences = [];
        // snippet: trials
        var collection = new QuantizationOptions { Model = model, Output = factors, Tokens = 2048, Context = 64, Fisher = new FisherOptions { Gradients = 8 } };
        FactorRun.Execute(collection, backend);

        var evaluation = new EvaluationOptions { Model = model, Original = model, Texts = ["self:1024"], BlockLength = 64 };
        using var trials = QuantizationTrials.Open(evaluation, backend);
        foreach (int bits in new[] { 2, 3, 4 })
        {
            QuantizationTrial trial = trials.Quantize(collection with { Bits = bits, FactorsFrom = factors });
            double divergence = trial.Evaluation.Texts[0].Divergence!.Mean;
            Console.WriteLine($"{bits} bits: mean KL {divergence:F4} nats, {trial.RoundingSeconds:F1} s to round");
            divergences.Add(divergence);
        }
        // end
        return divergences;
    }

    public static string Continue(string output, string prompt, IBackend backend)
    {
        // snippet: generate
        using var folder = ModelFolder.Open(output);                                // dense or quantized
        using var decoder = DecoderModel.Load(folder, backend);
        var tokenizer = Tokenizer.Load(output);
        var generator = new TextGenerator(decoder, tokenizer.VocabularySize);
        GenerationResult result = generator.Generate(tokenizer.Encode(prompt, addSpecialTokens: true), new GenerationOptions { MaxTokens = 16 });
        string text = tokenizer.Decode([.. result.Tokens], skipSpecialTokens: true);
        // end
        return text;
    }

    public static async Task<double> FailAsync(IBackend backend)
    {
        // snippet: errors
        try
        {
            await QuantizationRun.QuantizeAsync(new QuantizationOptions { Model = "no-such-folder", Output = "out" }, backend, (_, _) => Task.FromResult(""));
        }
        catch (InvalidDataException e)
        {
            Console.WriteLine(e.Message);                       // one line: path, found, expected, cure
            return double.NaN;
        }
        // end
        return 0;
    }
}
