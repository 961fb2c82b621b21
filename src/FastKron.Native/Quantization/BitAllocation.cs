namespace FastKron.Native.Quantization;

/// <summary>Shares a budget of bits among matrices so that the sum of their predicted losses is least.</summary>
public static class BitAllocation
{
    /// <summary>Chooses a width for every matrix. The result is optimal, not a heuristic's; of equal sums the one with the narrower later matrices.</summary>
    /// <remarks>
    /// Dynamic programming over the bits spent, in units of the greatest common divisor of the matrices' sizes: matrices · units · widths steps, and as
    /// many bytes. Matrices of a model share their sides, so that the units are some thousands.
    /// </remarks>
    /// <param name="weights">Number of weights of each matrix.</param>
    /// <param name="losses">Of each matrix, its predicted loss at each width.</param>
    /// <param name="widths">Bits per weight, ascending.</param>
    /// <param name="average">Most bits per weight, over all weights.</param>
    /// <returns>The width of each matrix.</returns>
    /// <exception cref="ArgumentException">No matrix, a size below 1, a loss that is not finite, or an average below the smallest width.</exception>
    public static int[] Choose(IReadOnlyList<long> weights, IReadOnlyList<double[]> losses, IReadOnlyList<int> widths, double average)
    {
        if (weights.Count == 0 || weights.Any(static w => w < 1))
            throw new ArgumentException("expected at least one matrix, and in each at least one weight", nameof(weights));
        if (losses.Count != weights.Count || losses.Any(l => l.Length != widths.Count || !l.All(double.IsFinite)))
            throw new ArgumentException($"expected a finite loss of each of {weights.Count} matrices at each of {widths.Count} widths", nameof(losses));
        if (!(average >= widths[0]))
            throw new ArgumentException($"an average of {average} bits, expected at least {widths[0]}", nameof(average));
        long unit = weights.Aggregate(GreatestCommonDivisor), total = weights.Sum() / unit;
        int[] sizes = [.. weights.Select(w => checked((int)(w / unit)))];
        // Half a weight's bit of room for the rounding of the average.
        int budget = checked((int)Math.Min(Math.Floor((average - widths[0]) * total + 0.5 / unit), (double)(widths[^1] - widths[0]) * total));

        // best[u]: least loss of the matrices so far with at most u units above the smallest width.
        double[] best = new double[budget + 1], next = new double[budget + 1];
        byte[][] choice = new byte[sizes.Length][];
        for (int matrix = 0; matrix < sizes.Length; matrix++)
        {
            choice[matrix] = new byte[budget + 1];
            for (int units = 0; units <= budget; units++)
            {
                next[units] = double.PositiveInfinity;
                for (int w = 0; w < widths.Count; w++)
                {
                    long spent = (long)(widths[w] - widths[0]) * sizes[matrix];
                    if (spent <= units && best[units - spent] + losses[matrix][w] is double sum && sum < next[units])
                        (next[units], choice[matrix][units]) = (sum, (byte)w);
                }
            }
            (best, next) = (next, best);
        }
        int[] chosen = new int[sizes.Length];
        for (int matrix = sizes.Length - 1, units = budget; matrix >= 0; matrix--)
        {
            chosen[matrix] = widths[choice[matrix][units]];
            units -= (chosen[matrix] - widths[0]) * sizes[matrix];
        }
        return chosen;
    }

    private static long GreatestCommonDivisor(long a, long b) => b == 0 ? a : GreatestCommonDivisor(b, a % b);
}
