namespace FastKron.Native.Fisher;

/// <summary>What a collection spends time on.</summary>
public enum CollectionStage
{
    /// <summary>Blocks, for the first time.</summary>
    Forward,

    /// <summary>Logits, labels and the gradient of the last hidden state.</summary>
    Head,

    /// <summary>Blocks once more, for inputs that were not kept.</summary>
    Recomputation,

    /// <summary>Backward through blocks, with what a block computes again for it, without the gradients of weights.</summary>
    Backward,

    /// <summary>Gradients of weights, or what else is kept of a linear's inputs and output gradients.</summary>
    Stack,

    /// <summary>Fitting factors.</summary>
    Solve,

    /// <summary>Copies of hidden states, as far as operations wait for them.</summary>
    Copies,

    /// <summary>What the other stages are not: the device is idle, or memory is allocated.</summary>
    Other,
}
