using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

/// <summary>Folders change hands with Hugging Face transformers, where python3 has it: it loads what we write, we load what it writes, and the logits are equal.</summary>
public sealed class TransformersTests
{
    private const int Tokens = 200, NotInstalled = 3;

    private string _folder = "";

    [SetUp]
    public void SetUp() => _folder = Directory.CreateTempSubdirectory("fastkron-transformers-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_folder, recursive: true);

    [Test]
    public async Task DenseExport_LoadedByTransformers_HasOurLogits(
        [Values("tiny-llama", "tiny-qwen3")] string model, [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        var options = new QuantizationOptions { Model = SharedData.Model(model), Output = Path.Combine(_folder, "dense"), Format = CheckpointFormat.Dense, Fisher = null };
        RequireTransformers();
        await QuantizationRun.QuantizeAsync(options, backend, (path, token) => Task.FromResult(ModelDigest.OfFolder(path, backend, token)));
        AssertSameLogits(backend, options.Output, ["load", options.Output]);
    }

    [Test]
    public void Folder_WrittenByTransformers_HasItsLogits([Values("llama", "qwen3")] string family, [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        string folder = Path.Combine(_folder, "theirs");
        RequireTransformers();
        AssertSameLogits(backend, folder, ["make", family, folder]);
    }

    private void AssertSameLogits(IBackend backend, string folder, string[] arguments)
    {
        string ids = Path.Combine(_folder, "ids.json"), output = Path.Combine(_folder, "logits.f32");
        int[] tokens = [.. Enumerable.Range(0, Tokens).Select(i => 3 + (i * i + 7 * i) % 500)];
        File.WriteAllText(ids, JsonSerializer.Serialize(tokens));
        (int code, string errors) = Python([.. arguments, ids, output]);
        Assert.That(code, Is.Zero, errors);
        ReadOnlySpan<float> theirs = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(output));
        float[] ours = Logits(backend, folder, tokens);
        Assert.That(ours, Has.Length.EqualTo(theirs.Length));

        double difference = 0, square = 0;
        int equal = 0, vocabulary = ours.Length / Tokens;
        for (int i = 0; i < ours.Length; i++)
        {
            difference += Math.Pow(ours[i] - theirs[i], 2);
            square += Math.Pow(theirs[i], 2);
        }
        for (int t = 0; t < Tokens; t++)
        {
            ReadOnlySpan<float> row = theirs.Slice(t * vocabulary, vocabulary);
            int mine = Argmax(ours.AsSpan(t * vocabulary, vocabulary));
            // A token that theirs holds equally likely up to the arithmetic's error is no disagreement.
            equal += row[mine] >= row[Argmax(row)] - Tolerance(backend) * Math.Sqrt(square / ours.Length) ? 1 : 0;
        }
        double relative = Math.Sqrt(difference / square);
        TestContext.Out.WriteLine($"{folder}: relative difference {relative:G3}, {equal} of {Tokens} first choices agree");
        Assert.That(relative, Is.LessThan(Tolerance(backend)));
        Assert.That(equal, Is.GreaterThanOrEqualTo(0.995 * Tokens));
    }

    // float32 through a few blocks; bf16 activations on a GPU.
    private static double Tolerance(IBackend backend) => backend.ActivationType == DType.F32 ? 1e-4 : 3e-2;

    private static int Argmax(ReadOnlySpan<float> row)
    {
        int best = 0;
        for (int i = 1; i < row.Length; i++)
            best = row[i] > row[best] ? i : best;
        return best;
    }

    private static float[] Logits(IBackend backend, string path, int[] ids)
    {
        using ModelFolder folder = ModelFolder.Open(path);
        using DecoderModel model = DecoderModel.Load(folder, backend);
        using PackedBatch batch = PackedBatch.Create(backend, folder.Config, [ids]);
        using Tensor hidden = backend.Allocate(backend.ActivationType, ids.Length, folder.Config.HiddenSize);
        using Tensor logits = backend.Allocate(DType.F32, ids.Length, folder.Config.VocabularySize);
        model.Embed(batch, hidden);
        model.Forward(batch, hidden);
        model.Logits(hidden, logits);
        float[] result = new float[logits.Length];
        backend.Download<float>(logits, result);
        return result;
    }

    private static void RequireTransformers()
    {
        (int code, string errors) = Python(["check"]);
        if (code == NotInstalled)
            Assert.Ignore($"python3 has no transformers ({errors.Trim()}); install torch and transformers to run this test");
    }

    private static (int Code, string Errors) Python(string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("python3", [SharedData.TestFile("transformers/logits.py"), .. arguments]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, errors + output.Result);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return (NotInstalled, "python3 is not installed");
        }
    }
}
