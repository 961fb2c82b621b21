namespace FastKron.Native.Batch;

/// <summary>How a job of a batch ended.</summary>
public enum BatchState
{
    /// <summary>It ran to its end.</summary>
    Done,

    /// <summary>An earlier batch had finished it.</summary>
    Finished,

    /// <summary>It failed; the others went on.</summary>
    Failed,
}

/// <summary>What came of one job.</summary>
/// <param name="Name">The job.</param>
/// <param name="Model">Folder of the original.</param>
/// <param name="Method">Method.</param>
/// <param name="Bits">Bits per weight asked for.</param>
/// <param name="State">How it ended.</param>
/// <param name="Error">Why it failed, in one line; null if it did not.</param>
/// <param name="Output">Folder of the result, or the file of what was measured; null if it failed.</param>
/// <param name="StoredBits">Bits stored per quantized weight.</param>
/// <param name="Perplexity">Of the result on the evaluation text; null where none was asked for.</param>
/// <param name="OriginalPerplexity">Of the original.</param>
/// <param name="Divergence">Mean KL divergence from the original in nats.</param>
/// <param name="DivergenceError">Its standard error.</param>
/// <param name="Seconds">Seconds of all stages of the job, without those of shared factors.</param>
/// <param name="Accuracy">Mean accuracy of its tasks; null where none was asked for.</param>
public sealed record BatchResult(
    string Name, string Model, string Method, double Bits, BatchState State, string? Error = null, string? Output = null, double? StoredBits = null,
    double? Perplexity = null, double? OriginalPerplexity = null, double? Divergence = null, double? DivergenceError = null, double? Seconds = null,
    double? Accuracy = null);

/// <summary>What one job, or one collection of factors, will need.</summary>
/// <param name="Name">The job, or <c>factors/…</c>.</param>
/// <param name="Weights">Weights to quantize.</param>
/// <param name="MemoryBytes">Estimated bytes of the largest stage; 0 if the work is finished or cannot start.</param>
/// <param name="DiskBytes">Estimated bytes on the disk.</param>
/// <param name="Seconds">Estimated seconds.</param>
/// <param name="Note">Finished, or why it cannot start, or a warning; null for nothing.</param>
/// <param name="CanStart">Whether it can start, or is finished.</param>
public sealed record BatchCost(string Name, long Weights, long MemoryBytes, long DiskBytes, double Seconds, string? Note, bool CanStart);
