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
    public void TryCreate_Covariance_RestoresDampedRotatedMatrix([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        const int Size = 96;
        using IBackend backend = Backends.Create(name);
        DenseMatrix h = DenseMatrix.Covariance(Size, seed: 1);
        using RandomHadamard rotation = RandomHadamard.Draw(backend, Size, seed: 2, RandomPurpose.InputSigns, matrix: 3);
        using var host = new CpuBackend();      // factors come from files: host memory
        using Tensor scaled = (7 * h).Upload(host), rotated = h.Upload(backend, DType.F64);
        rotation.RotateBothSides(rotated);
        DenseMatrix expected = DenseMatrix.Download(backend, rotated) + 0.01 * DenseMatrix.Identity(Size);

        using DampedFactor factor = DampedFactor.TryCreate(backend, scaled, rotation, 0.01, out string? failure)!;
        DenseMatrix l = DenseMatrix.Identity(Size) + DenseMatrix.Download(backend, factor.Lower), packed = DenseMatrix.Download(backend, factor.Diagonal);
        DenseMatrix d = DenseMatrix.From(Size, Size, (i, j) => i / 16 == j / 16 ? packed[i, j % 16] : 0);
        Assert.That(failure, Is.Null);
        Assert.That(factor.Damping, Is.EqualTo(0.01));
        Assert.That(DenseMatrix.Distance(l * d * l.Transposed, expected), Is.LessThan(1e-6), "l is stored in float32, entries of H are below 10");
    }

    [TestCase(0.0, 0.01)]
    [TestCase(-0.005, 0.01)]
    [TestCase(-0.025, 0.03)]
    [TestCase(-0.295, 0.30)]
    public void TryCreate_SmallestEigenvalueNotPositive_RaisesDampingUntilItIs(double smallest, double damping)
    {
        // One direction has the smallest eigenvalue, all others the same, mean diagonal 1.
        const int Size = 64;
        using IBackend backend = Backends.Create("cpu");
        double other = (Size - smallest) / (Size - 1);
        DenseMatrix h = DenseMatrix.From(Size, Size, (i, j) => (i == j ? other : 0) + (smallest - other) / Size);
        using Tensor tensor = h.Upload(backend);
        using DampedFactor? factor = DampedFactor.TryCreate(backend, tensor, rotation: null, 0.01, out string? failure);
        Assert.That(failure, Is.Null);
        Assert.That(factor!.Damping, Is.EqualTo(damping).Within(1e-12));
    }

    [Test]
    public void TryCreate_Negated_GivesTheSameFactor()
    {
        using IBackend backend = Backends.Create("cpu");
        DenseMatrix h = DenseMatrix.Covariance(64, seed: 4);
        using Tensor positive = h.Upload(backend), negative = (-1 * h).Upload(backend);
        using DampedFactor expected = DampedFactor.TryCreate(backend, positive, null, 0.01, out _)!;
        using DampedFactor actual = DampedFactor.TryCreate(backend, negative, null, 0.01, out _)!;
        Assert.That(DenseMatrix.Download(backend, actual.Lower).Same(DenseMatrix.Download(backend, expected.Lower)), Is.True);
        Assert.That(DenseMatrix.Download(backend, actual.Diagonal).Same(DenseMatrix.Download(backend, expected.Diagonal)), Is.True);
    }

    [TestCase(double.NaN, "NaN or infinity")]
    [TestCase(double.PositiveInfinity, "NaN or infinity")]
    public void TryCreate_NotFinite_SaysSo(double value, string reason)
    {
        DenseMatrix h = DenseMatrix.Covariance(32, seed: 5);
        h[20, 7] = h[7, 20] = value;
        AssertFails(h, reason);
    }

    [Test]
    public void TryCreate_Zero_SaysSo() => AssertFails(new DenseMatrix(32, 32), "mean diagonal is 0");

    [Test]
    public void TryCreate_FarFromPositive_SaysSo() =>
        AssertFails(DenseMatrix.From(32, 32, (i, j) => i == j ? 1 : -1), "not positive definite with 1 of its mean diagonal added");

    private static void AssertFails(DenseMatrix h, string reason)
    {
        using IBackend backend = Backends.Create("cpu");
        using Tensor tensor = h.Upload(backend);
        using DampedFactor? factor = DampedFactor.TryCreate(backend, tensor, rotation: null, 0.01, out string? failure);
        Assert.That(factor, Is.Null);
        Assert.That(failure, Does.Contain(reason));
    }
}
