using System.Globalization;
using System.Numerics.Tensors;
using FastKron.Native.Compute;
using FastKron.Native.Incoherence;
using FastKron.Native.Reports;
using DType = FastKron.Native.Compute.Tensors.DType;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Rounding;

/// <summary>Kronecker factors ready for rounding: normalised, rotated, damped and factorised, H + σI = (I + l) D (I + l)ᵀ with 16 × 16 blocks.</summary>
public static class DampedFactor
{
    private const int Block = TileDiagonal.TileRows;

    // A factor that needs more than its own mean diagonal has no information left.
    private const double LargestDamping = 1;

    // Rows of one upload.
    private const int StripRows = 1024;

    // Small matrices are widened and factorised together, as many as fit.
    private const long RunBytes = 512L << 20;

    /// <summary>
    /// Prepares the factors of matrices that are rounded together, in float64: H rotated (and scaled), over its mean diagonal; then σ grows by
    /// <paramref name="step"/> until Cholesky succeeds, at least once. Waits once for each σ that was tried.
    /// </summary>
    /// <remarks>A negative definite H becomes positive by the division: the two factors of a Kronecker product share a sign.</remarks>
    /// <param name="backend">Where the result lies.</param>
    /// <param name="factors">(n, n) F32 each, host, symmetric; n a multiple of 16; null for the identity.</param>
    /// <param name="rotations">Of this side of each matrix; null for none.</param>
    /// <param name="step">σ_reg, positive.</param>
    /// <param name="lower">l (matrices · n, n) F32 without gaps, out: strictly block-lower.</param>
    /// <param name="diagonal">D_i above each other, (matrices · n, 16) F64, out.</param>
    /// <param name="clock">Told of copies, rotations and factorisations; null for none.</param>
    /// <returns>What was done to each, or why it has no result: then the identity is written.</returns>
    public static FactorDamping[] Factorise(
        IBackend backend, IReadOnlyList<Tensor?> factors, IReadOnlyList<RandomHadamard?> rotations, double step, Tensor lower, Tensor diagonal,
        StageClock<RoundingPhase>? clock = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        int n = lower.Columns, run = (int)Math.Max(1, RunBytes / (sizeof(double) * (long)n * n));
        var results = new FactorDamping?[factors.Count];
        var means = new (double Before, double After)[factors.Count];
        for (int b = 0; b < results.Length; b++)
        {
            if (factors[b] is not { } h)
            {
                results[b] = FactorDamping.None;
                continue;
            }
            if (h.Rows != n || h.Columns != n || n % Block != 0)
                throw new ArgumentException($"factor: expected ({n}, {n}), a multiple of {Block}, found {h}", nameof(factors));
            means[b] = MeanDiagonals(h, rotations[b]);
            if (!double.IsFinite(means[b].Before))
                results[b] = Failed("it holds NaN or infinity");
            else if (means[b].Before == 0)
                results[b] = Failed("its mean diagonal is 0");
        }

        List<int> waiting = [.. Enumerable.Range(0, results.Length).Where(b => results[b] is null)];
        using Tensor failures = backend.Allocate(DType.I32, factors.Count, 1);
        int[] pivots = new int[factors.Count];
        for (int tries = 1; waiting.Count > 0; tries++)
        {
            double sigma = tries * step;
            foreach ((int first, int count) in Runs(waiting, run))
            {
                using Tensor damped = backend.Allocate(DType.F64, count * n, n);
                for (int b = first; b < first + count; b++)
                {
                    Tensor one = damped.SliceRows((b - first) * n, n);
                    using (StageClock.Enter(clock, RoundingPhase.Loading))
                        Load(backend, factors[b]!, lower.SliceRows(b * n, n), one);
                    using (StageClock.Enter(clock, RoundingPhase.Rotation))
                        rotations[b]?.RotateBothSides(one);
                    using (StageClock.Enter(clock, RoundingPhase.Factorisation))
                        Damp(backend, one, 1 / means[b].After, sigma);
                }
                using StageClock<RoundingPhase>.Scope factorisation = StageClock.Enter(clock, RoundingPhase.Factorisation);
                backend.BlockLdl(damped, Block, lower.SliceRows(first * n, count * n), diagonal.SliceRows(first * n, count * n), failures.SliceRows(first, count));
            }
            backend.Download<int>(failures, pivots);
            foreach (int b in waiting.ToArray())
            {
                if (pivots[b] == 0)
                    results[b] = new FactorDamping(sigma, means[b].After / means[b].Before, null);
                else if (tries == 1 && !IsFinite(factors[b]!))
                    results[b] = Failed("it holds NaN or infinity");
                else if ((tries + 1) * step > Math.Max(step, LargestDamping))
                    results[b] = Failed(string.Create(CultureInfo.InvariantCulture, $"it is not positive definite with {LargestDamping} of its mean diagonal added (pivot {pivots[b]} of {n})"));
            }
            waiting.RemoveAll(b => results[b] is not null);
        }
        for (int b = 0; b < results.Length; b++)
        {
            if (results[b]!.Sigma == 0)
                SetIdentity(backend, lower.SliceRows(b * n, n), diagonal.SliceRows(b * n, n));
        }
        return results!;
    }

    private static void SetIdentity(IBackend backend, Tensor lower, Tensor diagonal)
    {
        backend.Fill(lower, 0);
        backend.Fill(diagonal, 0);
        Tensor blocks = diagonal.Reshape(diagonal.Rows / Block, Block * Block);
        for (int i = 0; i < Block; i++)
            backend.Fill(blocks.SliceColumns(i * (Block + 1), 1), 1);
    }

    private static FactorDamping Failed(string reason) => new(0, 1, reason);

    // Matrices in a row, at most `longest` at a time.
    private static IEnumerable<(int First, int Count)> Runs(List<int> matrices, int longest)
    {
        for (int i = 0, count; i < matrices.Count; i += count)
        {
            for (count = 1; count < longest && i + count < matrices.Count && matrices[i + count] == matrices[i] + count; count++)
            {
            }
            yield return (matrices[i], count);
        }
    }

    // Rotation does not change the trace, so the mean after it is that of the scaled diagonal.
    private static (double Before, double After) MeanDiagonals(Tensor h, RandomHadamard? rotation)
    {
        double before = 0, after = 0;
        for (int i = 0; i < h.Rows; i++)
        {
            double value = h.Row<float>(i)[i], scale = rotation?.Scale.Span[i] ?? 1;
            before += value;
            after += value * scale * scale;
        }
        return (before / h.Rows, after / h.Rows);
    }

    private static bool IsFinite(Tensor h)
    {
        for (int row = 0; row < h.Rows; row++)
        {
            if (!float.IsFinite(TensorPrimitives.MaxMagnitude(h.Row<float>(row))))
                return false;
        }
        return true;
    }

    // By way of memory that holds nothing yet.
    private static void Load(IBackend backend, Tensor source, Tensor passage, Tensor destination)
    {
        for (int row = 0; row < source.Rows; row += StripRows)
        {
            int rows = Math.Min(StripRows, source.Rows - row);
            backend.Upload<float>(source.SliceRows(row, rows).AsSpan<float>(), passage.SliceRows(row, rows));
        }
        backend.Convert(passage, destination);
    }

    private static void Damp(IBackend backend, Tensor h, double scale, double sigma)
    {
        backend.Scale(scale, h);
        using Tensor ones = backend.Allocate(DType.F64, h.Rows, 1);
        backend.Fill(ones, 1);
        backend.Axpy(sigma, ones, h.Diagonal());
    }
}
