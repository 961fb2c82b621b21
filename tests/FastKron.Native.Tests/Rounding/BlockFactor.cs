using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Rounding;
using NUnit.Framework;

namespace FastKron.Native.Tests.Rounding;

/// <summary>H + σI = (I + l) D (I + l)ᵀ as the engine makes it on the CPU.</summary>
internal sealed record BlockFactor(DenseMatrix Lower, DenseMatrix Diagonal, double Damping, string? Failure)
{
    public const double Step = 0.01;

    /// <summary>D as a whole matrix.</summary>
    public DenseMatrix BlockDiagonal => DenseMatrix.From(Lower.Rows, Lower.Rows, (i, j) => i / 16 == j / 16 ? Diagonal[i, j % 16] : 0);

    public static DenseMatrix Damped(DenseMatrix h)
    {
        double mean = Enumerable.Range(0, h.Rows).Average(i => h[i, i]);
        return 1 / mean * h + Step * DenseMatrix.Identity(h.Rows);
    }

    /// <summary>Of a matrix that can be factorised.</summary>
    public static BlockFactor Of(DenseMatrix h)
    {
        BlockFactor factor = Try(h);
        Assert.That(factor.Failure, Is.Null);
        return factor;
    }

    public static BlockFactor Try(DenseMatrix h)
    {
        using var backend = new CpuBackend();
        using Tensor source = h.Upload(backend), lower = backend.Allocate(DType.F32, h.Rows, h.Rows), diagonal = backend.Allocate(DType.F64, h.Rows, 16);
        FactorDamping damping = DampedFactor.Factorise(backend, [source], [null], Step, lower, diagonal)[0];
        return new BlockFactor(DenseMatrix.Download(backend, lower), DenseMatrix.Download(backend, diagonal), damping.Sigma, damping.Failure);
    }
}
