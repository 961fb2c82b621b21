using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Rounding;
using NUnit.Framework;

namespace FastKron.Native.Tests.Incoherence;

public sealed class EnergyScalesTests
{
    [Test]
    public void Of_UnequalChannels_GivesEveryRowAndColumnTheSameMeanSquare([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        const int Rows = 96, Columns = 160;
        using IBackend backend = Backends.Create(name);
        DenseMatrix w = Unequal(Rows, Columns);
        using Tensor tensor = DenseMatrix.Stack(w, 3 * w).Upload(backend);
        EnergyScales[] both = EnergyScales.Of(backend, tensor, 2);
        foreach (EnergyScales scales in both)
        {
            DenseMatrix scaled = DenseMatrix.From(Rows, Columns, (i, j) => w[i, j] / scales.Output[i] / scales.Input[j]);
            double mean = scaled.SquaredNorm / (Rows * Columns);
            for (int i = 0; i < Rows; i++)
                Assert.That(Enumerable.Range(0, Columns).Average(j => scaled[i, j] * scaled[i, j]), Is.EqualTo(mean).Within(0.01 * mean), "input scales have 8 bits");
            for (int j = 0; j < Columns; j++)
                Assert.That(Enumerable.Range(0, Rows).Average(i => scaled[i, j] * scaled[i, j]), Is.EqualTo(mean).Within(0.01 * mean));
            Assert.That(scales.Input, Is.All.Matches<float>(s => BFloat16.FromSingle(s).ToSingle() == s && (float)(Half)s == s));
            Assert.That(scales.Output.Average(s => Math.Log(s)), Is.Zero.Within(1e-5), "geometric mean 1");
        }
    }

    [Test]
    public void Of_EqualChannels_IsNone()
    {
        using IBackend backend = Backends.Create("cpu");
        using Tensor tensor = DenseMatrix.From(32, 64, (i, j) => (i * 7 + j * 3) % 2 == 0 ? 0.5 : -0.5).Upload(backend);
        Assert.That(EnergyScales.Of(backend, tensor, 1)[0], Is.SameAs(EnergyScales.None));
    }

    // One side is reason enough.
    [Test]
    public void Of_OneSideUnequal_ScalesIt([Values] bool rows)
    {
        using IBackend backend = Backends.Create("cpu");
        using Tensor tensor = DenseMatrix.From(48, 96, (i, j) => 1 + (rows ? i : j) % 3).Upload(backend);
        EnergyScales scales = EnergyScales.Of(backend, tensor, 1)[0];
        (float[] scaled, float[] equal) = rows ? (scales.Output, scales.Input) : (scales.Input, scales.Output);
        Assert.That(scaled.Select(s => s / scaled[0]), Is.EqualTo(scaled.Select((_, i) => 1.0 + i % 3)).Within(0.01), "1/d: input scales have 8 bits");
        Assert.That(equal, Is.All.EqualTo(1).Within(1e-3));
    }

    [Test]
    public void Of_ZeroRowsAndColumns_KeepsThemFinite()
    {
        using IBackend backend = Backends.Create("cpu");
        DenseMatrix w = Unequal(32, 64);
        using Tensor tensor = DenseMatrix.From(32, 64, (i, j) => i == 4 || j == 9 ? 0 : w[i, j]).Upload(backend);
        EnergyScales scales = EnergyScales.Of(backend, tensor, 1)[0];
        Assert.That(scales.Output.Concat(scales.Input), Is.All.Matches<float>(s => s is > 0 and < 256));
    }

    private static DenseMatrix Unequal(int rows, int columns)
    {
        DenseMatrix normal = DenseMatrix.Normal(rows, columns, seed: 1);
        return DenseMatrix.From(rows, columns, (i, j) => (float)(normal[i, j] * (1 + i % 3) * (1 + j % 5)));
    }
}
