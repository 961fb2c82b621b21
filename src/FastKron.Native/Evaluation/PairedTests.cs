using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Evaluation;

/// <summary>Tests of two models on the same documents.</summary>
public static class PairedTests
{
    private const int Resamples = 10_000;

    /// <summary>Exact two-sided McNemar test: the probability, if both models were equally good, of a split of the documents on which they differ at least as uneven as this one.</summary>
    /// <param name="onlyFirst">Documents that only the first model has right.</param>
    /// <param name="onlySecond">Documents that only the second has right.</param>
    /// <remarks>Twice the tail of the binomial distribution of n = both, p = ½; at most 1. Source: McNemar, Psychometrika 12 (1947).</remarks>
    public static double McNemar(int onlyFirst, int onlySecond)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(onlyFirst);
        ArgumentOutOfRangeException.ThrowIfNegative(onlySecond);
        int n = onlyFirst + onlySecond;
        double logTerm = -n * Math.Log(2), tail = 0;                         // ln of C(n, i) / 2ⁿ
        for (int i = 0; i <= Math.Min(onlyFirst, onlySecond); i++)
        {
            tail += Math.Exp(logTerm);
            logTerm += Math.Log(n - i) - Math.Log(i + 1);
        }
        return Math.Min(1, 2 * tail);
    }

    /// <summary>Bootstrap interval of the unweighted mean of the means of some strata: 95 %, by percentiles of 10,000 resamplings within each stratum.</summary>
    /// <param name="strata">Values of each stratum, for example differences of documents by task; none empty.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <remarks>Each resampling of a stratum of n takes the next ⌈n/4⌉ blocks of its Philox sequence. Source: Efron, Annals of Statistics 7 (1979).</remarks>
    public static (double Low, double High) Bootstrap(IReadOnlyList<double[]> strata, ulong seed = 0)
    {
        float[] means = new float[Resamples];
        for (int s = 0; s < strata.Count; s++)
        {
            double[] values = strata[s];
            ulong position = 0;
            for (int r = 0; r < Resamples; r++)
            {
                double sum = 0;
                for (int i = 0; i < values.Length; i += 4, position += 4)
                {
                    (uint x, uint y, uint z, uint w) = Philox.Words(seed, position >> 2, RandomPurpose.Bootstrap, (uint)s);
                    sum += Pick(values, x);
                    sum += i + 1 < values.Length ? Pick(values, y) : 0;
                    sum += i + 2 < values.Length ? Pick(values, z) : 0;
                    sum += i + 3 < values.Length ? Pick(values, w) : 0;
                }
                means[r] += (float)(sum / values.Length / strata.Count);
            }
        }
        Array.Sort(means);
        return (Statistics.Quantile(means, 0.025), Statistics.Quantile(means, 0.975));
    }

    private static double Pick(double[] values, uint word) => values[(int)(((ulong)word * (ulong)values.Length) >> 32)];
}
