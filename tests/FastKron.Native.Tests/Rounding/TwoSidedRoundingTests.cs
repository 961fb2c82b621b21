using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Rounding;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Rounding;

// Dyadic inputs make every sum exact in float32, so that results must be equal to the last bit whatever the order of the sums.
public sealed class TwoSidedRoundingTests
{
    [Test]
    public void Round_WithoutFactors_RoundsEveryWeight([ValueSource(typeof(Backends), nameof(Backends.Names))] string name, [Values] TrellisLayout layout)
    {
        using IBackend backend = Backends.Create(name);
        DenseMatrix w = DenseMatrix.Normal(48, 160, seed: 1);
        Outcome outcome = Run(backend, w, null, null, layout);
        DenseMatrix rounded = DenseMatrix.From(48, 160, (i, j) => (float)(w[i, j] - UniformGrid.Round(w[i, j])));
        Assert.Multiple(() =>
        {
            Assert.That(outcome.Targets.Same(w), Is.True);
            Assert.That(outcome.Error.Same(rounded), Is.True);
            Assert.That(outcome.Residual.Same(rounded), Is.True);
        });
    }

    // Sizes: one tile; within a block; several blocks with a rest, more rows than columns and fewer.
    [TestCase(16, 16)]
    [TestCase(48, 128)]
    [TestCase(32, 304)]
    [TestCase(304, 48)]
    public void Round_InputFactorOnly_IsColumnBlockLdlq(int rows, int columns)
    {
        using var backend = new CpuBackend();
        DenseMatrix w = DenseMatrix.Dyadic(rows, columns, seed: 2), l = DenseMatrix.DyadicLower(columns, seed: 3);
        Assert.That(Run(backend, w, null, l).Error.Same(Ldlq(w, l)), Is.True);
    }

    [TestCase(16, 16)]
    [TestCase(304, 32)]
    [TestCase(48, 304)]
    public void Round_OutputFactorOnly_IsLdlqOfTheTranspose(int rows, int columns)
    {
        using var backend = new CpuBackend();
        DenseMatrix w = DenseMatrix.Dyadic(rows, columns, seed: 4), l = DenseMatrix.DyadicLower(rows, seed: 5);
        Assert.That(Run(backend, w, l, null).Error.Same(Ldlq(w.Transposed, l).Transposed), Is.True);
    }

    [TestCase(16, 16)]
    [TestCase(144, 128)]
    [TestCase(128, 400)]
    [TestCase(400, 272)]
    public void Round_BothFactors_PushedTargetsArePulledTargets(int rows, int columns)
    {
        using var backend = new CpuBackend();
        DenseMatrix w = DenseMatrix.Dyadic(rows, columns, seed: 6);
        DenseMatrix lOut = DenseMatrix.DyadicLower(rows, seed: 7), lIn = DenseMatrix.DyadicLower(columns, seed: 8);
        Outcome outcome = Run(backend, w, lOut, lIn);
        DenseMatrix residual = (DenseMatrix.Identity(rows) + lOut).Transposed * outcome.Error * (DenseMatrix.Identity(columns) + lIn);
        Assert.Multiple(() =>
        {
            // The pull form: T = W + (L_outᵀ E L_in − E), which holds the errors of later tiles only.
            Assert.That(outcome.Targets.Same(w + residual - outcome.Error), Is.True);
            Assert.That(outcome.Residual.Same(residual), Is.True);
            Assert.That((w - outcome.Error).Same(DenseMatrix.From(rows, columns, (i, j) => UniformGrid.Round(outcome.Targets[i, j]))), Is.True);
        });
    }

    [Test]
    public void Round_RealFactors_TargetsAndResidualFollowFromErrors()
    {
        const int Rows = 144, Columns = 272;
        using var backend = new CpuBackend();
        DenseMatrix w = 3 * DenseMatrix.Normal(Rows, Columns, seed: 9);
        w = DenseMatrix.From(Rows, Columns, (i, j) => (float)w[i, j]);
        using DampedFactor a = Factor(backend, DenseMatrix.Covariance(Rows, seed: 10)), b = Factor(backend, DenseMatrix.Covariance(Columns, seed: 11));
        DenseMatrix lOut = DenseMatrix.Download(backend, a.Lower), lIn = DenseMatrix.Download(backend, b.Lower);
        Outcome outcome = Run(backend, w, lOut, lIn);
        DenseMatrix residual = (DenseMatrix.Identity(Rows) + lOut).Transposed * outcome.Error * (DenseMatrix.Identity(Columns) + lIn);

        // Sums of up to some hundred products of size 1 in float32.
        Assert.That(DenseMatrix.Distance(outcome.Targets, w + residual - outcome.Error), Is.LessThan(1e-5));
        Assert.That(DenseMatrix.Distance(outcome.Residual, residual), Is.LessThan(1e-5));
        Assert.That(DenseMatrix.Distance(outcome.Residual, new DenseMatrix(Rows, Columns)), Is.LessThanOrEqualTo(0.5), "S lies in the quantizer's cell");
    }

    [Test]
    public void Round_Transposed_IsTheTransposedResult()
    {
        using var backend = new CpuBackend();
        DenseMatrix w = DenseMatrix.Dyadic(176, 304, seed: 12), lOut = DenseMatrix.DyadicLower(176, seed: 13), lIn = DenseMatrix.DyadicLower(304, seed: 14);
        DenseMatrix error = Run(backend, w, lOut, lIn).Error;
        Assert.That(Run(backend, w.Transposed, lIn, lOut).Error.Transposed.Same(error), Is.True);
    }

    [Test]
    public void Round_RandomCovariances_TwoSidedBelowLdlqBelowNearest()
    {
        const int Rows = 96, Columns = 160, Draws = 4;
        using var backend = new CpuBackend();
        double nearest = 0, ldlq = 0, twoSided = 0;
        for (uint draw = 0; draw < Draws; draw++)
        {
            DenseMatrix w = DenseMatrix.Normal(Rows, Columns, 20 + draw);
            using DampedFactor a = Factor(backend, DenseMatrix.Covariance(Rows, 30 + draw)), b = Factor(backend, DenseMatrix.Covariance(Columns, 40 + draw));
            DenseMatrix lOut = DenseMatrix.Download(backend, a.Lower), lIn = DenseMatrix.Download(backend, b.Lower);
            nearest += Loss(Run(backend, w, null, null).Error);
            ldlq += Loss(Run(backend, w, null, lIn).Error);
            twoSided += Loss(Run(backend, w, lOut, lIn).Error);

            double Loss(DenseMatrix error)
            {
                using Tensor e = error.Upload(backend);
                return ProxyLoss.OfMatrix(backend, e, a, b);
            }
        }
        TestContext.Out.WriteLine($"two-sided {twoSided / Draws:F1}, LDLQ {ldlq / Draws:F1}, nearest {nearest / Draws:F1}");

        // With these spectra each side of feedback takes away well over a tenth.
        Assert.That(twoSided, Is.LessThan(0.9 * ldlq));
        Assert.That(ldlq, Is.LessThan(0.9 * nearest));
    }

    [Test]
    public void Round_AnyNumberOfThreads_SameBits()
    {
        DenseMatrix w = DenseMatrix.Normal(304, 432, seed: 15), a = DenseMatrix.Covariance(304, seed: 16), b = DenseMatrix.Covariance(432, seed: 17);
        DenseMatrix One(int threads)
        {
            using var backend = new CpuBackend(threads);
            using DampedFactor output = Factor(backend, a), input = Factor(backend, b);
            return Run(backend, w, DenseMatrix.Download(backend, output.Lower), DenseMatrix.Download(backend, input.Lower)).Error;
        }
        DenseMatrix expected = One(1);
        Assert.That(One(2).Same(expected) && One(3).Same(expected), Is.True);
    }

    [Test]
    public void Round_Cancelled_Stops()
    {
        using var backend = new CpuBackend();
        using Tensor w = new DenseMatrix(32, 32).Upload(backend), residual = backend.Allocate(DType.F32, 32, 32);
        using var grid = new UniformGrid(backend, 32, 32);
        Assert.That(
            () => TwoSidedRounding.Round(backend, w, null, null, grid, residual, new CancellationToken(canceled: true)),
            Throws.InstanceOf<OperationCanceledException>());
    }

    private static DampedFactor Factor(IBackend backend, DenseMatrix h)
    {
        using Tensor tensor = h.Upload(backend);
        return DampedFactor.TryCreate(backend, tensor, rotation: null, 0.01, out string? failure) ?? throw new AssertionException(failure!);
    }

    private static Outcome Run(IBackend backend, DenseMatrix w, DenseMatrix? lOut, DenseMatrix? lIn, TrellisLayout layout = TrellisLayout.QtipPlain)
    {
        using Tensor weights = w.Upload(backend), residual = backend.Allocate(DType.F32, w.Rows, w.Columns);
        using Tensor? output = lOut?.Upload(backend), input = lIn?.Upload(backend);
        using var grid = new UniformGrid(backend, w.Rows, w.Columns, layout);
        TwoSidedRounding.Round(backend, weights, output, input, grid, residual);
        return new Outcome(DenseMatrix.Download(backend, weights), DenseMatrix.Download(backend, residual), grid.Targets);
    }

    // LDLQ as its authors write it: columns from the last to the first, 16 at a time; each is rounded after adding the errors of the later ones.
    private static DenseMatrix Ldlq(DenseMatrix w, DenseMatrix l)
    {
        var error = new DenseMatrix(w.Rows, w.Columns);
        for (int block = w.Columns - 16; block >= 0; block -= 16)
        {
            for (int i = 0; i < w.Rows; i++)
            {
                for (int j = block; j < block + 16; j++)
                {
                    double target = w[i, j];
                    for (int k = block + 16; k < w.Columns; k++)
                        target += error[i, k] * l[k, j];
                    error[i, j] = w[i, j] - UniformGrid.Round(target);
                }
            }
        }
        return error;
    }

    private sealed record Outcome(DenseMatrix Error, DenseMatrix Residual, DenseMatrix Targets);
}
