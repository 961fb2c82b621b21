using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

public sealed class LossTests
{
    [Test]
    public void CrossEntropy_LogitsFarFromZero_AreShiftedFirst([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        Tensor logits = operands.Matrix([1000, 1000, -5000, -5000], 2, 2), labels = operands.Indices(1, 0), losses = operands.Output(1, 2);
        backend.CrossEntropy(logits, labels, losses);
        Assert.That(operands.Read(losses), Is.All.EqualTo(Math.Log(2)).Within(1e-7));       // one rounding to float32
        backend.CrossEntropyBackward(logits, labels, 2);
        Assert.That(operands.Read(logits), Is.EqualTo([1, -1, -1, 1]).Within(1e-6));
    }

    [Test]
    public void CrossEntropy_NotANumber_IsVisibleInItsRowOnly([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        double[] values = operands.Normal(3 * 40);
        values[57] = double.NaN;
        Tensor losses = operands.Output(1, 3);
        backend.CrossEntropy(operands.Matrix(values, 3, 40), operands.Indices(0, 0, 0), losses);
        Assert.That(operands.Read(losses).Select(double.IsNaN), Is.EqualTo([false, true, false]));
    }

    [Test]
    public void CompareLogits_EqualRows_DivergeByExactlyZero([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        double[] values = operands.Normal(5 * 1001, 4);
        double[] statistics = Compare(backend, operands, values, values, 5, 1001);
        for (int t = 0; t < 5; t++)
        {
            Assert.That(Column(statistics, t, LogitStatistics.Divergence), Is.Zero);
            Assert.That(Column(statistics, t, LogitStatistics.ReverseDivergence), Is.Zero);
            Assert.That(Column(statistics, t, LogitStatistics.TopAgreement), Is.EqualTo(1));
            Assert.That(Column(statistics, t, LogitStatistics.TopFiveHit), Is.EqualTo(1));
        }
    }

    [Test]
    public void CompareLogits_SmallDifferences_GiveThePositiveDivergenceOfTheDefinition(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName, [Values(1e-1, 1e-2)] double size)
    {
        // The divergence, about size²/2, is the difference of a mean and a logarithm of a ratio of sums of float32 exponentials: 6e-8 at most of each.
        const double tolerance = 5e-8;
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        const int rows = 8, columns = 2000;
        double[] reference = operands.Normal(rows * columns, 3), noise = operands.Normal(reference.Length, size);
        double[] candidate = [.. reference.Zip(noise, (a, b) => (double)(float)(a + b + 5))], expected = new double[LogitStatistics.Count];
        double[] actual = Compare(backend, operands, reference, candidate, rows, columns);
        for (int t = 0; t < rows; t++)
        {
            LogitComparison.Compare(reference.AsSpan(t * columns, columns), candidate.AsSpan(t * columns, columns), -1, expected);
            Assert.That(Column(actual, t, LogitStatistics.Divergence), Is.EqualTo(expected[LogitStatistics.Divergence]).Within(tolerance));
            Assert.That(Column(actual, t, LogitStatistics.ReverseDivergence), Is.EqualTo(expected[LogitStatistics.ReverseDivergence]).Within(tolerance));
        }
    }

    [Test]
    public void CompareLogits_ExcludedTokens_CountAsProbabilityZero([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        double none = double.NegativeInfinity;
        // Both exclude the last token; the candidate of the second row excludes one that the reference does not.
        double[] statistics = Compare(backend, operands, [0, 0, none, 0, 0, none], [0, 0, none, 0, none, none], 2, 3);
        Assert.That(Column(statistics, 0, LogitStatistics.Divergence), Is.Zero);
        Assert.That(Column(statistics, 1, LogitStatistics.Divergence), Is.EqualTo(double.PositiveInfinity));
        Assert.That(Column(statistics, 1, LogitStatistics.ReverseDivergence), Is.EqualTo(Math.Log(2)).Within(1e-7));
    }

    [Test]
    public void CompareLogits_Ranks_CountTiesFromTheLowestIndex([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        double[] reference = new double[3 * 20], candidate = new double[3 * 20];
        reference[4] = reference[9] = 1;                         // row 0: token 4, tied with 9
        candidate[4] = candidate[0] = 1;                         // candidate prefers 0, then 4
        reference[20 + 5] = 1;                                   // row 1: token 5; all of the candidate's tokens are equal, five come before it
        reference[40 + 4] = 1;                                   // row 2: token 4, with four before it
        double[] statistics = Compare(backend, operands, reference, candidate, 3, 20);
        Assert.That(Enumerable.Range(0, 3).Select(t => Column(statistics, t, LogitStatistics.TopAgreement)), Is.EqualTo([0.0, 0, 0]));
        Assert.That(Enumerable.Range(0, 3).Select(t => Column(statistics, t, LogitStatistics.TopFiveHit)), Is.EqualTo([1.0, 0, 1]));
    }

    [Test]
    public void CompareLogits_NotANumber_NeitherAgreesNorHits([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using var operands = new TransformerOperands(backend);
        double[] statistics = Compare(backend, operands, [1, 2, 3, double.NaN, 2, 3], [1, double.NaN, 3, 1, 2, 3], 2, 3);
        for (int t = 0; t < 2; t++)
        {
            Assert.That(Column(statistics, t, LogitStatistics.Divergence), Is.NaN);
            Assert.That(Column(statistics, t, LogitStatistics.TopAgreement), Is.Zero);
            Assert.That(Column(statistics, t, LogitStatistics.TopFiveHit), Is.Zero);
        }
    }

    private static double[] Compare(IBackend backend, TransformerOperands operands, double[] reference, double[] candidate, int rows, int columns)
    {
        Tensor statistics = operands.Output(rows, LogitStatistics.Count), labels = operands.Indices([.. Enumerable.Repeat(-1, rows)]);
        backend.CompareLogits(operands.Matrix(reference, rows, columns), operands.Matrix(candidate, rows, columns), labels, statistics);
        return operands.Read(statistics);
    }

    private static double Column(double[] statistics, int row, int column) => statistics[row * LogitStatistics.Count + column];
}
