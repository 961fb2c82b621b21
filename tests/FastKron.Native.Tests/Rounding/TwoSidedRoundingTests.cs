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
        DenseMatrix lOut = BlockFactor.Of(DenseMatrix.Covariance(Rows, seed: 10)).Lower, lIn = BlockFactor.Of(DenseMatrix.Covariance(Columns, seed: 11)).Lower;
        Outcome outcome = Run(backend, w, lOut, lIn);
        DenseMatrix residual = (DenseMatrix.Identity(Rows) + lOut).Transposed * outcome.Error * (DenseMatrix.Identity(Columns) + lIn);

        // Sums of up to some hundred products of size 1 in float32.
        Assert.That(DenseMatrix.Distance(outcome.Targets, w + residual - outcome.Error), Is.LessThan(1e-5));
        Assert.That(DenseMatrix.Distance(outcome.Residual, residual), Is.LessThan(1e-5));
        Assert.That(DenseMatrix.Distance(outcome.Residual, new DenseMatrix(Rows, Columns)), Is.LessThanOrEqualTo(0.5), "S lies in the quantizer's cell");
    }

    [Test]
    public void Round_SeveralMatrices_AreRoundedAsEachAlone([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        const int Count = 3, Rows = 144, Columns = 304;
        using IBackend backend = Backends.Create(name);
        DenseMatrix[] w = [.. Enumerable.Range(0, Count).Select(b => DenseMatrix.Dyadic(Rows, Columns, seed: 50 + (uint)b))];
        DenseMatrix[] lOut = [.. Enumerable.Range(0, Count).Select(b => DenseMatrix.DyadicLower(Rows, seed: 60 + (uint)b))];
        DenseMatrix[] lIn = [.. Enumerable.Range(0, Count).Select(b => DenseMatrix.DyadicLower(Columns, seed: 70 + (uint)b))];
        Outcome[] together = Run(backend, w, lOut, lIn);
        for (int b = 0; b < Count; b++)
        {
            Outcome alone = Run(backend, w[b], lOut[b], lIn[b]);
            Assert.That(together[b].Error.Same(alone.Error) && together[b].Residual.Same(alone.Residual), Is.True);
        }
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
            DenseMatrix a = DenseMatrix.Covariance(Rows, 30 + draw), b = DenseMatrix.Covariance(Columns, 40 + draw);
            DenseMatrix lOut = BlockFactor.Of(a).Lower, lIn = BlockFactor.Of(b).Lower;
            nearest += Loss(Run(backend, w, null, null).Error);
            ldlq += Loss(Run(backend, w, null, lIn).Error);
            twoSided += Loss(Run(backend, w, lOut, lIn).Error);

            double Loss(DenseMatrix error) => DenseMatrix.Loss(error, BlockFactor.Damped(a), BlockFactor.Damped(b));
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
            return Run(backend, w, BlockFactor.Of(a).Lower, BlockFactor.Of(b).Lower).Error;
        }
        DenseMatrix expected = One(1);
        Assert.That(One(2).Same(expected) && One(3).Same(expected), Is.True);
    }

    [Test]
    public void Round_Cancelled_Stops()
    {
        using var backend = new CpuBackend();
        using Tensor w = new DenseMatrix(32, 32).Upload(backend), u = backend.Allocate(DType.F32, 32, 32), v = backend.Allocate(DType.F32, 32, 32);
        Assert.That(
            () => TwoSidedRounding.Round(backend, new RoundingBatch(1, w, u, v, null, null), new UniformGrid(backend, 1, 32, 32), cancellation: new CancellationToken(canceled: true)),
            Throws.InstanceOf<OperationCanceledException>());
    }

    private static Outcome Run(IBackend backend, DenseMatrix w, DenseMatrix? lOut, DenseMatrix? lIn, TrellisLayout layout = TrellisLayout.QtipPlain) =>
        Run(backend, [w], lOut is null ? null : [lOut], lIn is null ? null : [lIn], layout)[0];

    private static Outcome[] Run(IBackend backend, DenseMatrix[] w, DenseMatrix[]? lOut, DenseMatrix[]? lIn, TrellisLayout layout = TrellisLayout.QtipPlain)
    {
        int count = w.Length, rows = w[0].Rows, columns = w[0].Columns;
        DenseMatrix unset = DenseMatrix.From(count * rows, columns, (_, _) => double.NaN);
        using Tensor weights = DenseMatrix.Stack(w).Upload(backend), u = unset.Upload(backend), v = unset.Upload(backend);
        using Tensor? output = lOut is null ? null : DenseMatrix.Stack(lOut).Upload(backend), input = lIn is null ? null : DenseMatrix.Stack(lIn).Upload(backend);
        var grid = new UniformGrid(backend, count, rows, columns, layout);
        TwoSidedRounding.Round(backend, new RoundingBatch(count, weights, u, v, output, input), grid);
        DenseMatrix[] errors = DenseMatrix.Download(backend, weights).Split(count), residuals = DenseMatrix.Download(backend, v).Split(count);
        return [.. Enumerable.Range(0, count).Select(b => new Outcome(errors[b], residuals[b], grid.Targets[b]))];
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
