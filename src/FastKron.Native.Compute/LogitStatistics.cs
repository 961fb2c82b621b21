namespace FastKron.Native.Compute;

/// <summary>Columns of the table that <see cref="IBackend.CompareLogits"/> writes, all in nats, probabilities or 0/1.</summary>
public static class LogitStatistics
{
    /// <summary>KL(reference ‖ candidate).</summary>
    public const int Divergence = 0;

    /// <summary>KL(candidate ‖ reference).</summary>
    public const int ReverseDivergence = 1;

    /// <summary>−ln p of the label under the reference; 0 without a label.</summary>
    public const int ReferenceLoss = 2;

    /// <summary>−ln p of the label under the candidate; 0 without a label.</summary>
    public const int CandidateLoss = 3;

    /// <summary>1 if both have the same most likely token (lowest index on ties).</summary>
    public const int TopAgreement = 4;

    /// <summary>1 if the reference's most likely token is among the candidate's five most likely.</summary>
    public const int TopFiveHit = 5;

    /// <summary>Number of columns.</summary>
    public const int Count = 6;
}
