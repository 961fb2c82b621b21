using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

public sealed class SampleLabelsTests
{
    private const ulong Seed = 20_240_607;

    // Invariant 5 of hessians-and-rounding.md section 8: for labels drawn from the model itself the gradient of the loss with respect to the logits,
    // g = p − onehot(label), has mean 0 and covariance diag(p) − p pᵀ.
    [Test]
    public void SampleLabels_GradientOfTheLoss_HasMeanZeroAndTheFisherCovariance(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        const int draws = 200_000;
        float[] logits = [0.3f, -1.2f, 2.1f, 0, 1.4f, -3, 0.9f];
        int n = logits.Length;
        double[] p = Array.ConvertAll(logits, z => Math.Exp(z - CrossEntropy.LogSumExp(Array.ConvertAll(logits, value => (double)value))));
        using IBackend backend = Backends.Create(backendName);
        int[] labels = Draw(backend, Enumerable.Repeat(logits, draws));

        double[] mean = new double[n], covariance = new double[n * n], g = new double[n];
        foreach (int label in labels)
        {
            for (int v = 0; v < n; v++)
                g[v] = p[v] - (v == label ? 1 : 0);
            for (int i = 0; i < n * n; i++)
                covariance[i] += g[i / n] * g[i % n] / draws;
            for (int v = 0; v < n; v++)
                mean[v] += g[v] / draws;
        }
        for (int v = 0; v < n; v++)
            Assert.That(mean[v], Is.Zero.Within(3 * Math.Sqrt(p[v] * (1 - p[v]) / draws)), $"mean {v}");
        for (int i = 0; i < n * n; i++)
        {
            var (a, b) = (i / n, i % n);
            double expected = (a == b ? p[a] : 0) - p[a] * p[b], secondMoment = 0;
            for (int label = 0; label < n; label++)
            {
                double product = (p[a] - (a == label ? 1 : 0)) * (p[b] - (b == label ? 1 : 0));
                secondMoment += p[label] * product * product;
            }
            Assert.That(covariance[i], Is.EqualTo(expected).Within(3 * Math.Sqrt((secondMoment - expected * expected) / draws)), $"covariance {a},{b}");
        }
    }

    [Test]
    public void SampleLabels_LaterRows_ContinueTheTokenCount([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        float[][] rows = [.. Enumerable.Range(0, 40).Select(t => Logits(100, (uint)t))];
        using IBackend backend = Backends.Create(backendName);
        int[] whole = Draw(backend, rows, firstToken: 1000);
        Assert.That(Draw(backend, rows[25..], firstToken: 1025), Is.EqualTo(whole[25..]));
        Assert.That(Draw(backend, rows, firstToken: 1001), Is.Not.EqualTo(whole));
    }

    // The noise is the same bits on both; scores differ by the last bit of a logarithm, so only a near-tie may fall differently.
    [Test]
    [RequiresGpu]
    public void SampleLabels_IdenticalLogits_DrawTheSameLabelOnTheGpu()
    {
        const int count = 20_000;
        float[][] rows = [.. Enumerable.Range(0, count).Select(t => Logits(1000, (uint)t))];
        using IBackend cpu = new CpuBackend(), gpu = new GpuBackend();
        int[] expected = Draw(cpu, rows), actual = Draw(gpu, rows);
        int equal = expected.Zip(actual).Count(pair => pair.First == pair.Second);
        TestContext.Out.WriteLine($"{equal} of {count} labels agree");
        Assert.That(equal, Is.GreaterThanOrEqualTo(count - count / 10_000));
    }

    [Test]
    public void SampleLabels_OneThread_EqualsMany()
    {
        float[][] rows = [.. Enumerable.Range(0, 100).Select(t => Logits(3000, (uint)t))];
        using IBackend one = new CpuBackend(threads: 1), many = new CpuBackend(threads: 5);
        Assert.That(Draw(one, rows), Is.EqualTo(Draw(many, rows)));
    }

    [Test]
    public void SampleLabels_InfiniteLogits_FollowTheirMeaning([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        float[] certain = Logits(200, 1), excluded = Logits(200, 2), two = Logits(200, 3);
        certain[77] = float.PositiveInfinity;
        Array.Fill(excluded, float.NegativeInfinity);
        excluded[131] = -1e30f;
        two[150] = two[40] = float.PositiveInfinity;
        using IBackend backend = Backends.Create(backendName);
        Assert.That(Draw(backend, [certain, excluded, two]), Is.EqualTo([77, 131, 40]));
    }

    [Test]
    public void SampleLabels_HugeEqualLogits_TieToTheLowest([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        // At 2³⁰ the noise, below 17, is rounded away: all scores are equal but those of the words with the largest noise, and there are none above 32.
        float[] logits = new float[500];
        Array.Fill(logits, 1 << 30);
        using IBackend backend = Backends.Create(backendName);
        Assert.That(Draw(backend, [logits]), Is.EqualTo([0]));
    }

    [Test]
    public void SampleLabels_NotANumber_GivesNoLabel(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName, [Values(0, 5, 63, 64, 99)] int column)
    {
        float[][] rows = [Logits(100, 1), Logits(100, 2), Logits(100, 3)];
        rows[1][column] = float.NaN;
        using IBackend backend = Backends.Create(backendName);
        int[] drawn = Draw(backend, rows);
        Assert.That(drawn[1], Is.EqualTo(-1));
        Assert.That(() => LossGradient.RequireDrawn(drawn), Throws.InstanceOf<ArithmeticException>().With.Message.Contains("token 1"));
        Assert.That(() => LossGradient.RequireDrawn([drawn[0], drawn[2]]), Throws.Nothing);
    }

    [Test]
    public void SampleLabels_NothingAboveMinusInfinity_GivesNoLabel([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        float[] nothing = new float[70];
        Array.Fill(nothing, float.NegativeInfinity);
        using IBackend backend = Backends.Create(backendName);
        Assert.That(Draw(backend, [Logits(70, 1), Logits(70, 1), nothing])[2], Is.EqualTo(-1));
    }

    [Test]
    public void Draw_NotANumber_Throws()
    {
        Assert.That(() => LabelSampling.Draw([1, float.NaN], Seed, RandomPurpose.Labels, 0), Throws.InstanceOf<ArithmeticException>());
        Assert.That(() => LabelSampling.Draw([float.NegativeInfinity], Seed, RandomPurpose.Labels, 0), Throws.InstanceOf<ArithmeticException>());
    }

    private static float[] Logits(int count, uint item)
    {
        float[] logits = new float[count];
        Philox.Normal(5, RandomPurpose.Test, item, logits);
        return logits;
    }

    private static int[] Draw(IBackend backend, IEnumerable<float[]> rows, uint firstToken = 0)
    {
        float[][] all = [.. rows];
        int[] drawn = new int[all.Length];
        using Tensor logits = backend.Allocate(DType.F32, all.Length, all[0].Length), labels = backend.Allocate(DType.I32, 1, all.Length);
        backend.Upload<float>([.. all.SelectMany(row => row)], logits);
        backend.SampleLabels(logits, Seed, RandomPurpose.Labels, firstToken, labels);
        backend.Download<int>(labels, drawn);
        return drawn;
    }
}
