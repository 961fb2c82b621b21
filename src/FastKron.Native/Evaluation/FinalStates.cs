using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Evaluation;

/// <summary>A model's final hidden states over a text, on the host: what remains of it while another model takes its place. Logits come of them in slices.</summary>
/// <param name="batches">(tokens, hidden size) each, activation type.</param>
public sealed class FinalStates(IReadOnlyList<Tensor> batches) : IDisposable
{
    /// <summary>States of the batches, in order.</summary>
    internal IReadOnlyList<Tensor> Batches => batches;

    /// <summary>Frees them.</summary>
    public void Dispose()
    {
        foreach (Tensor batch in batches)
            batch.Dispose();
    }
}
