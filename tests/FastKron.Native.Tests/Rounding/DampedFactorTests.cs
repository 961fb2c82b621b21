using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;
using FastKron.Native.Rounding;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Rounding;

public sealed class DampedFactorTests
{
    [Test]
    public void Factorise_Covariance_RestoresDampedRotatedMatrix([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        const int Size = 96;
        using IBackend backend = Backends.Create(name);
        DenseMatrix h = DenseMatrix.Covariance(Size, seed: 1);
        using RandomHadamard rotation = RandomHadamard.Draw(backend, Size, seed: 2, RandomPurpose.InputSigns, matrix: 3);
        using var host = new CpuBackend();      // factors come from files: host memory
        using Tensor scaled = (7 * h).Upload(host), rotated = h.Upload(backend, DType.F64);
        rotation.RotateBothSides(rotated);
        DenseMatrix expected = DenseMatrix.Download(backend, rotated) + 0.01 * DenseMatrix.Identity(Size);

        using Tensor lower = backend.Allocate(DType.F32, Size, Size), diagonal = backend.Allocate(DType.F64, Size, 16);
        FactorDamping damping = DampedFactor.Factorise(backend, [scaled], [rotation], 0.01, lower, diagonal)[0];
        var factor = new BlockFactor(DenseMatrix.Download(backend, lower), DenseMatrix.Download(backend, diagonal), damping.Sigma, damping.Failure);
        DenseMatrix l = DenseMatrix.Identity(Size) + factor.Lower;
        Assert.That(factor.Failure, Is.Null);
        Assert.That(factor.Damping, Is.EqualTo(0.01));
        Assert.That(DenseMatrix.Distance(l * factor.BlockDiagonal * l.Transposed, expected), Is.LessThan(1e-6), "l is stored in float32, entries of H are below 10");
    }

    [TestCase(0.0, 0.01)]
    [TestCase(-0.005, 0.01)]
    [TestCase(-0.015, 0.02)]
    [TestCase(-0.025, 0.03)]
    [TestCase(-0.295, 0.30)]
    public void Factorise_SmallestEigenvalueNotPositive_RaisesDampingUntilItIs(double smallest, double damping)
    {
        // One direction has the smallest eigenvalue, all others the same, mean diagonal 1.
        const int Size = 64;
        double other = (Size - smallest) / (Size - 1);
        DenseMatrix h = DenseMatrix.From(Size, Size, (i, j) => (i == j ? other : 0) + (smallest - other) / Size);
        Assert.That(BlockFactor.Of(h).Damping, Is.EqualTo(damping).Within(1e-12));
    }

    // Factors go to the device in strips of 1,024 rows; the diagonal says whether each row came to its place.
    [Test]
    public void Factorise_MoreRowsThanAStrip_LoadsEveryRow()
    {
        const int Size = 1040;
        using var backend = new CpuBackend();
        using Tensor h = Tensor.AllocateHost(DType.F32, Size, Size), lower = backend.Allocate(DType.F32, Size, Size), diagonal = backend.Allocate(DType.F64, Size, 16);
        h.AsSpan<float>().Clear();
        for (int i = 0; i < Size; i++)
            h.Row<float>(i)[i] = 1 + i;
        Assert.That(DampedFactor.Factorise(backend, [h], [null], 0.01, lower, diagonal)[0].Failure, Is.Null);
        Assert.That(Enumerable.Range(0, Size).Select(i => diagonal.Row<double>(i)[i % 16]), Is.EqualTo(Enumerable.Range(0, Size).Select(i => (1 + i) / ((Size + 1) / 2.0) + 0.01)).Within(1e-12));
    }

    [Test]
    public void Factorise_Negated_GivesTheSameFactor()
    {
        DenseMatrix h = DenseMatrix.Covariance(64, seed: 4);
        BlockFactor expected = BlockFactor.Of(h), actual = BlockFactor.Of(-1 * h);
        Assert.That(actual.Lower.Same(expected.Lower), Is.True);
        Assert.That(actual.Diagonal.Same(expected.Diagonal), Is.True);
    }

    [Test]
    public void Factorise_SeveralMatrices_GivesEachWhatItGetsAlone([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        const int Size = 64;
        using IBackend backend = Backends.Create(name);
        using var host = new CpuBackend();
        DenseMatrix good = DenseMatrix.Covariance(Size, seed: 6), other = DenseMatrix.Covariance(Size, seed: 7), broken = DenseMatrix.Covariance(Size, seed: 8);
        DenseMatrix indefinite = DenseMatrix.From(Size, Size, (i, j) => (i == j ? 1.02 : 0) - 1.045 / Size);     // -.025 in one direction
        broken[20, 7] = broken[7, 20] = double.NaN;
        using Tensor first = good.Upload(host), second = indefinite.Upload(host), third = broken.Upload(host), last = other.Upload(host);
        Tensor?[] factors = [first, null, second, third, last];
        RandomHadamard?[] rotations = [.. factors.Select((_, b) => b == 2 ? null : RandomHadamard.Draw(backend, Size, seed: 3, RandomPurpose.InputSigns, (uint)b))];

        using Tensor lower = backend.Allocate(DType.F32, factors.Length * Size, Size), diagonal = backend.Allocate(DType.F64, factors.Length * Size, 16);
        FactorDamping[] together = DampedFactor.Factorise(backend, factors, rotations, 0.01, lower, diagonal);
        Assert.That(together.Select(d => d.Failure is null), Is.EqualTo(new[] { true, true, true, false, true }));
        Assert.That(together[1], Is.EqualTo(FactorDamping.None));
        Assert.That(together.Select(d => d.Sigma), Is.EqualTo(new[] { 0.01, 0, 0.03, 0, 0.01 }).Within(1e-12));
        for (int b = 0; b < factors.Length; b++)
        {
            using Tensor lowerAlone = backend.Allocate(DType.F32, Size, Size), diagonalAlone = backend.Allocate(DType.F64, Size, 16);
            FactorDamping alone = DampedFactor.Factorise(backend, [factors[b]], [rotations[b]], 0.01, lowerAlone, diagonalAlone)[0];
            Assert.That(together[b], Is.EqualTo(alone));
            Assert.That(DenseMatrix.Download(backend, lower.SliceRows(b * Size, Size)).Same(DenseMatrix.Download(backend, lowerAlone)), Is.True);
            Assert.That(DenseMatrix.Download(backend, diagonal.SliceRows(b * Size, Size)).Same(DenseMatrix.Download(backend, diagonalAlone)), Is.True);
            rotations[b]?.Dispose();
        }
    }

    [TestCase(double.NaN, "NaN or infinity")]
    [TestCase(double.PositiveInfinity, "NaN or infinity")]
    public void Factorise_NotFinite_SaysSo(double value, string reason)
    {
        DenseMatrix h = DenseMatrix.Covariance(32, seed: 5);
        h[20, 7] = h[7, 20] = value;
        AssertFails(h, reason);
    }

    [Test]
    public void Factorise_Zero_SaysSo() => AssertFails(new DenseMatrix(32, 32), "mean diagonal is 0");

    [Test]
    public void Factorise_FarFromPositive_SaysSo() =>
        AssertFails(DenseMatrix.From(32, 32, (i, j) => i == j ? 1 : -1), "not positive definite with 1 of its mean diagonal added");

    private static void AssertFails(DenseMatrix h, string reason)
    {
        BlockFactor factor = BlockFactor.Try(h);
        Assert.That(factor.Failure, Does.Contain(reason));
        Assert.That(factor.Damping, Is.Zero);
        Assert.That(factor.Lower.Same(new DenseMatrix(h.Rows, h.Rows)), Is.True, "the identity takes its place");
        Assert.That(factor.BlockDiagonal.Same(DenseMatrix.Identity(h.Rows)), Is.True);
    }
}
