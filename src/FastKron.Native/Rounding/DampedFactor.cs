using System.Globalization;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Rounding;

/// <summary>One Kronecker factor ready for rounding: normalised, rotated, damped and factorised, H + σI = (I + l) D (I + l)ᵀ with 16 × 16 blocks.</summary>
/// <param name="Lower">l (n, n) F32, strictly block-lower.</param>
/// <param name="Diagonal">D_i above each other, (n, 16) F64.</param>
/// <param name="Damping">σ, in units of the mean diagonal of H.</param>
public sealed record DampedFactor(Tensor Lower, Tensor Diagonal, double Damping) : IDisposable
{
    private const int Block = TileDiagonal.TileRows;

    // A factor that needs more than its own mean diagonal has no information left.
    private const double LargestDamping = 1;

    // Rows uploaded and widened at a time.
    private const int StripRows = 256;

    /// <summary>Prepares a factor in float64: H / (mean diagonal), rotated; then σ grows by <paramref name="step"/> until Cholesky succeeds, at least once.</summary>
    /// <remarks>A negative definite H becomes positive by the division: the two factors of a Kronecker product share a sign.</remarks>
    /// <param name="backend">Where the result lies.</param>
    /// <param name="h">(n, n) F32, host, symmetric; n a multiple of 16.</param>
    /// <param name="rotation">Of this side; null for none.</param>
    /// <param name="step">σ_reg, positive.</param>
    /// <param name="failure">Null, or why there is no result.</param>
    /// <returns>The factor, or null with the reason in <paramref name="failure"/>.</returns>
    public static DampedFactor? TryCreate(IBackend backend, Tensor h, RandomHadamard? rotation, double step, out string? failure)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        int n = h.Rows;
        using Tensor normalised = backend.Allocate(DType.F64, n, n);
        using Tensor ones = backend.Allocate(DType.F64, n, 1);
        Load(backend, h, normalised);
        backend.Fill(ones, 1);
        double mean = backend.Dot(normalised.Diagonal(), ones) / n;
        if (!double.IsFinite(backend.Dot(normalised, normalised)))
        {
            failure = "it holds NaN or infinity";
            return null;
        }
        if (mean == 0)
        {
            failure = "its mean diagonal is 0";
            return null;
        }
        backend.Scale(1 / mean, normalised);
        rotation?.RotateBothSides(normalised);

        Tensor lower = backend.Allocate(DType.F32, n, n), diagonal = backend.Allocate(DType.F64, n, Block);
        using Tensor work = backend.Allocate(DType.F64, n, n);
        int pivot = 0;
        for (int tries = 1; tries * step <= Math.Max(step, LargestDamping); tries++)
        {
            backend.Axpy(step, ones, normalised.Diagonal());
            backend.Convert(normalised, work);
            pivot = backend.BlockLdl(work, Block, lower, diagonal);
            if (pivot == 0)
            {
                failure = null;
                return new DampedFactor(lower, diagonal, tries * step);
            }
        }
        lower.Dispose();
        diagonal.Dispose();
        failure = string.Create(CultureInfo.InvariantCulture, $"it is not positive definite with {LargestDamping} of its mean diagonal added (pivot {pivot} of {n})");
        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Lower.Dispose();
        Diagonal.Dispose();
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
