using System.Globalization;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Rounding;

/// <summary>Kronecker factors ready for rounding: normalised, rotated, damped and factorised, H + σI = (I + l) D (I + l)ᵀ with 16 × 16 blocks.</summary>
public static class DampedFactor
{
    private const int Block = TileDiagonal.TileRows;

    // A factor that needs more than its own mean diagonal has no information left.
    private const double LargestDamping = 1;

    // Rows uploaded and widened at a time.
    private const int StripRows = 1024;

    /// <summary>Prepares a factor in float64: H rotated (and scaled), over its mean diagonal; then σ grows by <paramref name="step"/> until Cholesky succeeds, at least once.</summary>
    /// <remarks>A negative definite H becomes positive by the division: the two factors of a Kronecker product share a sign.</remarks>
    /// <param name="backend">Where the result lies.</param>
    /// <param name="h">(n, n) F32, host, symmetric; n a multiple of 16.</param>
    /// <param name="rotation">Of this side; null for none.</param>
    /// <param name="step">σ_reg, positive.</param>
    /// <param name="lower">l (n, n) F32, out: strictly block-lower.</param>
    /// <param name="diagonal">D_i above each other, (n, 16) F64, out.</param>
    /// <returns>What was done, or why there is no result: then the identity is written.</returns>
    public static FactorDamping Factorise(IBackend backend, Tensor h, RandomHadamard? rotation, double step, Tensor lower, Tensor diagonal)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        string? failure = null;
        int n = h.Rows, pivot = 0;
        using Tensor normalised = backend.Allocate(DType.F64, n, n);
        using Tensor ones = backend.Allocate(DType.F64, n, 1);
        Load(backend, h, normalised);
        backend.Fill(ones, 1);
        double mean = backend.Dot(normalised.Diagonal(), ones) / n, rotatedMean = mean;
        if (!double.IsFinite(backend.Dot(normalised, normalised)))
            failure = "it holds NaN or infinity";
        else if (mean == 0)
            failure = "its mean diagonal is 0";
        if (failure is not null)
        {
            SetIdentity(backend, lower, diagonal);
            return new FactorDamping(0, 1, failure);
        }
        if (rotation is not null)
        {
            rotation.RotateBothSides(normalised);
            rotatedMean = backend.Dot(normalised.Diagonal(), ones) / n;
        }
        backend.Scale(1 / rotatedMean, normalised);

        using Tensor work = backend.Allocate(DType.F64, n, n);
        for (int tries = 1; tries * step <= Math.Max(step, LargestDamping); tries++)
        {
            backend.Axpy(step, ones, normalised.Diagonal());
            backend.Convert(normalised, work);
            pivot = backend.BlockLdl(work, Block, lower, diagonal);
            if (pivot == 0)
                return new FactorDamping(tries * step, rotatedMean / mean, null);
        }
        failure = string.Create(CultureInfo.InvariantCulture, $"it is not positive definite with {LargestDamping} of its mean diagonal added (pivot {pivot} of {n})");
        SetIdentity(backend, lower, diagonal);
        return new FactorDamping(0, 1, failure);
    }

    /// <summary>Writes the factorisation of the identity: l = 0, D_i = I.</summary>
    public static void SetIdentity(IBackend backend, Tensor lower, Tensor diagonal)
    {
        backend.Fill(lower, 0);
        backend.Fill(diagonal, 0);
        Tensor blocks = diagonal.Reshape(diagonal.Rows / Block, Block * Block);
        for (int i = 0; i < Block; i++)
            backend.Fill(blocks.SliceColumns(i * (Block + 1), 1), 1);
    }

    private static void Load(IBackend backend, Tensor source, Tensor destination)
    {
        if (source.Rows != source.Columns || source.Rows % Block != 0)
            throw new ArgumentException($"factor: expected a square matrix of a multiple of {Block} rows, found {source}", nameof(source));
        using Tensor strip = backend.Allocate(DType.F32, Math.Min(StripRows, source.Rows), source.Columns);
        for (int row = 0; row < source.Rows; row += StripRows)
        {
            int rows = Math.Min(StripRows, source.Rows - row);
            backend.Upload<float>(source.SliceRows(row, rows).AsSpan<float>(), strip.SliceRows(0, rows));
            backend.Convert(strip.SliceRows(0, rows), destination.SliceRows(row, rows));
        }
    }
}
