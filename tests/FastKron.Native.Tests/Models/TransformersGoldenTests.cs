using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

/// <summary>golden_transformers.json: logits, loss and gradients of two sequences, computed in float64.</summary>
public sealed class TransformersGoldenTests
{
    // float32 against float64: every number within this share of the root mean square of its tensor (issue 3, point 5).
    private const double Tolerance = 1e-4;

    [TestCaseSource(typeof(GoldenModels), nameof(GoldenModels.Names))]
    public void Backward_TwoSequences_MatchesFloat64(string name)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(GoldenModels.Golden(name, "golden_transformers.json")));
        using IBackend backend = Backends.Create("cpu");
        using ModelFolder folder = ModelFolder.Open(GoldenModels.Folder(name));
        using DecoderModel model = DecoderModel.Load(folder, backend);
        int[][] sequences = [.. golden.RootElement.GetProperty("ids").EnumerateArray().Select(Integers)];
        int labels = sequences.Sum(s => s.Length - 1);
        var observer = new GoldenObserver(backend, golden.RootElement.GetProperty("linears"));
        using (Assert.EnterMultipleScope())
        {
            AssertLogits(model, sequences, golden.RootElement.GetProperty("logits"));
            float[] losses = GradientCollector.Backpropagate(model, sequences, 1f / labels, observer);
            double loss = golden.RootElement.GetProperty("loss_value").GetDouble();
            Assert.That(losses.Sum(l => (double)l) / labels, Is.EqualTo(loss).Within(Tolerance * loss), "loss");
            Assert.That(observer.Seen, Is.EqualTo(golden.RootElement.GetProperty("linears").EnumerateObject().Count()));
        }
    }

    private static void AssertLogits(DecoderModel model, int[][] sequences, JsonElement golden)
    {
        IBackend backend = model.Backend;
        int vocabulary = model.Config.VocabularySize;
        using PackedBatch batch = PackedBatch.Create(backend, model.Config, sequences);
        using Tensor hidden = backend.Allocate(backend.ActivationType, batch.Tokens, model.Config.HiddenSize);
        using Tensor logits = backend.Allocate(DType.F32, batch.Tokens, vocabulary);
        model.Forward(batch, hidden);
        model.Logits(hidden, logits);
        float[] values = new float[logits.Length];
        backend.Download<float>(logits, values);
        double sum = 0, squares = 0, expectedSquares = golden.GetProperty("sumsq").GetDouble();
        foreach (float value in values)
            (sum, squares) = (sum + value, squares + (double)value * value);
        double tolerance = Tolerance * Math.Sqrt(expectedSquares / values.Length);
        double[] last = Numbers(golden.TryGetProperty("row0_last", out JsonElement whole) ? whole : golden.GetProperty("row0_last_first64"));   // at most 512 columns
        Assert.That(values.AsSpan((sequences[0].Length - 1) * vocabulary, last.Length).ToArray(), Is.EqualTo(last).Within(tolerance), "logits of row 0's last token");
        Assert.That(values.AsSpan((sequences[0].Length + 5) * vocabulary, 8).ToArray(), Is.EqualTo(Numbers(golden.GetProperty("row1_first8_pos5"))).Within(tolerance));
        Assert.That(squares, Is.EqualTo(expectedSquares).Within(2 * Tolerance * expectedSquares), "sum of squares of the logits");
        Assert.That(sum, Is.EqualTo(golden.GetProperty("sum").GetDouble()).Within(Tolerance * Math.Sqrt(expectedSquares * values.Length)), "sum of the logits");
        int[] best = [.. Enumerable.Range(0, sequences[0].Length).Select(t => System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(values.AsSpan(t * vocabulary, vocabulary)))];
        Assert.That(best, Is.EqualTo(Integers(golden.GetProperty("argmax_row0"))), "argmax of row 0");
    }

    private static int[] Integers(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetDouble())];

    /// <summary>Compares every linear as it is seen, so that only one gradient lives at a time.</summary>
    private sealed class GoldenObserver(IBackend backend, JsonElement linears) : ILinearObserver
    {
        public int Seen { get; private set; }

        public void Observe(ILinear linear, Tensor x, Tensor d)
        {
            Seen++;
            JsonElement golden = linears.GetProperty(linear.Name);
            using Tensor g = backend.Allocate(DType.F32, linear.Outputs, linear.Inputs);
            backend.MatMul(d, transposeA: true, x, transposeB: false, g);
            float[] gradient = new float[g.Length];
            backend.Download<float>(g, gradient);
            double sum = 0, squares = 0, norm = golden.GetProperty("grad_frobenius").GetDouble(), tolerance = Tolerance * norm / Math.Sqrt(gradient.Length);
            foreach (float value in gradient)
                (sum, squares) = (sum + value, squares + (double)value * value);
            Assert.That(Integers(golden.GetProperty("shape")), Is.EqualTo([linear.Outputs, linear.Inputs]), linear.Name);
            Assert.That(Math.Sqrt(squares), Is.EqualTo(norm).Within(Tolerance * norm), $"{linear.Name}: norm of the gradient");
            Assert.That(sum, Is.EqualTo(golden.GetProperty("grad_trace_like_sum").GetDouble()).Within(Tolerance * norm * Math.Sqrt(gradient.Length)), $"{linear.Name}: sum");
            foreach (JsonElement sample in golden.GetProperty("grad_samples").EnumerateArray())
                Assert.That(gradient[sample[0].GetInt32()], Is.EqualTo(sample[1].GetDouble()).Within(tolerance), $"{linear.Name}[{sample[0].GetInt32()}]");
            AssertGram(x, golden.GetProperty("input_gram_frobenius").GetDouble(), $"{linear.Name}: XᵀX");
            AssertGram(d, golden.GetProperty("output_grad_gram_frobenius").GetDouble(), $"{linear.Name}: DᵀD");
        }

        // ‖XᵀX‖_F = ‖XXᵀ‖_F, and T is small.
        private void AssertGram(Tensor x, double expected, string what)
        {
            using Tensor gram = backend.Allocate(DType.F32, x.Rows, x.Rows);
            backend.MatMul(x, transposeA: false, x, transposeB: true, gram);
            Assert.That(Math.Sqrt(backend.Dot(gram, gram)), Is.EqualTo(expected).Within(2 * Tolerance * expected), what);
        }
    }
}
