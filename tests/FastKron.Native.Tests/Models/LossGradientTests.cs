using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class LossGradientTests
{
    private const int Tokens = 13;

    [Test]
    public void FromLabels_InSlices_EqualsOneSlice([Values(1, 5, 13)] int logitRows)
    {
        using var problem = new Problem();
        int[] labels = [.. RandomModel.Ids(Tokens, 40, item: 40).Select((id, t) => t % 4 == 3 ? -1 : id)];
        problem.Backend.Upload<int>(labels, problem.Labels);
        LossGradient.FromLabels(problem.Model, problem.Hidden, problem.Labels, scale: 0.5f, problem.Gradient, problem.Losses);
        float[] gradient = Values(problem.Gradient), losses = Values(problem.Losses);
        problem.Model.LogitRows = logitRows;
        LossGradient.FromLabels(problem.Model, problem.Hidden, problem.Labels, scale: 0.5f, problem.Gradient, problem.Losses);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Values(problem.Gradient), Is.EqualTo(gradient).Within(1e-6f));   // gradients of about 0.3; products of other shapes may round differently
            Assert.That(Values(problem.Losses), Is.EqualTo(losses).Within(1e-5f));
            Assert.That(Enumerable.Range(0, Tokens).Where(t => losses[t] == 0), Is.EqualTo([3, 7, 11]));
            Assert.That(problem.Labels.AsSpan<int>().ToArray(), Is.EqualTo(labels));
        }
    }

    [Test]
    public void FromLabels_RandomDirection_MatchesFiniteDifferences()
    {
        const double Epsilon = 1e-2;
        using var problem = new Problem();
        problem.Backend.Upload<int>(RandomModel.Ids(Tokens, 40, item: 41), problem.Labels);
        LossGradient.FromLabels(problem.Model, problem.Hidden, problem.Labels, scale: 1, problem.Gradient);
        using Tensor v = RandomModel.Normal(problem.Backend, Tokens, problem.Hidden.Columns, item: 42);
        double analytic = problem.Backend.Dot(problem.Gradient, v);
        double Shifted(double step)
        {
            problem.Backend.Axpy(step, v, problem.Hidden);
            LossGradient.Losses(problem.Model, problem.Hidden, problem.Labels, problem.Losses);
            problem.Backend.Axpy(-step, v, problem.Hidden);
            return Values(problem.Losses).Sum(l => (double)l);
        }
        double numeric = (Shifted(Epsilon) - Shifted(-Epsilon)) / (2 * Epsilon);
        double norm = Math.Sqrt(problem.Backend.Dot(problem.Gradient, problem.Gradient));
        Assert.That(numeric, Is.EqualTo(analytic).Within(1e-3 * norm));   // third-order term ε² and 1e-6 rounding of the loss / ε
    }

    [Test]
    public void FromSampledLabels_Slices_DrawWithTheNumbersOfTheTokens([Values(4, 13)] int logitRows)
    {
        using var problem = new Problem();
        problem.Model.LogitRows = logitRows;
        LossGradient.FromSampledLabels(problem.Model, problem.Hidden, seed: 21, firstToken: 1000, problem.Labels, scale: 1, problem.Gradient, problem.Losses);
        int[] labels = problem.Labels.AsSpan<int>().ToArray();
        float[] gradient = Values(problem.Gradient), losses = Values(problem.Losses);

        using Tensor logits = problem.Backend.Allocate(DType.F32, Tokens, 40), expected = problem.Backend.Allocate(DType.I32, 1, Tokens);
        problem.Model.Logits(problem.Hidden, logits);
        problem.Backend.SampleLabels(logits, 21, RandomPurpose.Labels, 1000, expected);
        LossGradient.FromLabels(problem.Model, problem.Hidden, expected, scale: 1, problem.Gradient, problem.Losses);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(labels, Is.EqualTo(expected.AsSpan<int>().ToArray()));
            Assert.That(gradient, Is.EqualTo(Values(problem.Gradient)).Within(1e-6f));
            Assert.That(losses, Is.EqualTo(Values(problem.Losses)).Within(1e-5f));
        }
    }

    private static float[] Values(Tensor tensor) => tensor.AsSpan<float>().ToArray();

    private sealed class Problem : IDisposable
    {
        public Problem()
        {
            Backend = Backends.Create("cpu");
            Model = RandomModel.Create(Backend, RandomModel.Config(ModelFamily.Llama, layers: 0));
            Hidden = RandomModel.Normal(Backend, Tokens, Model.Config.HiddenSize, item: 43);
            Gradient = Backend.Allocate(DType.F32, Tokens, Model.Config.HiddenSize);
            Labels = Backend.Allocate(DType.I32, 1, Tokens);
            Losses = Backend.Allocate(DType.F32, 1, Tokens);
        }

        public IBackend Backend { get; }

        public DecoderModel Model { get; }

        public Tensor Hidden { get; }

        public Tensor Gradient { get; }

        public Tensor Labels { get; }

        public Tensor Losses { get; }

        public void Dispose()
        {
            foreach (IDisposable item in (IDisposable[])[Hidden, Gradient, Labels, Losses, Model, Backend])
                item.Dispose();
        }
    }
}
