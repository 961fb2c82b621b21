namespace FastKron.Native.Compute.Reference;

/// <summary>Softmax cross-entropy of one row of logits, in nats. A negative label means: no loss, no gradient.</summary>
public static class CrossEntropy
{
    /// <summary>ln Σ exp(z) − z[label]; 0 if the label is negative.</summary>
    /// <param name="logits">z, shape (vocabulary).</param>
    /// <param name="label">Index of the true token.</param>
    public static double Loss(ReadOnlySpan<double> logits, int label) => label < 0 ? 0 : LogSumExp(logits) - logits[label];

    /// <summary>z ← scale · (softmax(z) − onehot(label)); 0 if the label is negative.</summary>
    /// <param name="logits">z, shape (vocabulary). Overwritten.</param>
    /// <param name="label">Index of the true token.</param>
    /// <param name="scale">Factor of the gradient.</param>
    public static void Backward(Span<double> logits, int label, double scale)
    {
        if (label < 0)
        {
            logits.Clear();
            return;
        }
        double logSumExp = LogSumExp(logits);
        foreach (ref double z in logits)
            z = scale * Math.Exp(z - logSumExp);
        logits[label] -= scale;
    }

    /// <summary>ln Σ exp(z), with the maximum subtracted before the exponentials.</summary>
    /// <param name="logits">z, shape (vocabulary).</param>
    public static double LogSumExp(ReadOnlySpan<double> logits)
    {
        double maximum = double.NegativeInfinity, sum = 0;
        foreach (double z in logits)
            maximum = Math.Max(maximum, z);
        foreach (double z in logits)
            sum += Math.Exp(z - maximum);
        return maximum + Math.Log(sum);
    }
}
