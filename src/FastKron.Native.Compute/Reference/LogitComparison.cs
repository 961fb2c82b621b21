namespace FastKron.Native.Compute.Reference;

/// <summary>The statistics of <see cref="LogitStatistics"/> for one row of two models' logits.</summary>
public static class LogitComparison
{
    /// <summary>Compares p = softmax(reference) with q = softmax(candidate). A token of probability 0 contributes 0 to a divergence.</summary>
    /// <param name="reference">Logits of the original model, shape (vocabulary).</param>
    /// <param name="candidate">Logits of the quantized model, shape (vocabulary).</param>
    /// <param name="label">Index of the true token, negative if there is none.</param>
    /// <param name="statistics">Shape (<see cref="LogitStatistics.Count"/>). Overwritten.</param>
    public static void Compare(ReadOnlySpan<double> reference, ReadOnlySpan<double> candidate, int label, Span<double> statistics)
    {
        double referenceSum = CrossEntropy.LogSumExp(reference), candidateSum = CrossEntropy.LogSumExp(candidate);
        double forward = 0, reverse = 0;
        for (int v = 0; v < reference.Length; v++)
        {
            double lnP = reference[v] - referenceSum, lnQ = candidate[v] - candidateSum, p = Math.Exp(lnP), q = Math.Exp(lnQ);
            forward += p == 0 ? 0 : p * (lnP - lnQ);
            reverse += q == 0 ? 0 : q * (lnQ - lnP);
        }
        int top = Top(reference), ahead = 0;
        for (int v = 0; v < candidate.Length; v++)
        {
            if (candidate[v] > candidate[top] || (candidate[v] == candidate[top] && v < top))
                ahead++;
        }
        statistics[LogitStatistics.Divergence] = forward;
        statistics[LogitStatistics.ReverseDivergence] = reverse;
        statistics[LogitStatistics.ReferenceLoss] = label < 0 ? 0 : referenceSum - reference[label];
        statistics[LogitStatistics.CandidateLoss] = label < 0 ? 0 : candidateSum - candidate[label];
        statistics[LogitStatistics.TopAgreement] = top == Top(candidate) ? 1 : 0;
        statistics[LogitStatistics.TopFiveHit] = ahead < 5 ? 1 : 0;
    }

    private static int Top(ReadOnlySpan<double> logits)
    {
        int top = 0;
        for (int v = 1; v < logits.Length; v++)
        {
            if (logits[v] > logits[top])
                top = v;
        }
        return top;
    }
}
