namespace FastKron.Native.Evaluation;

/// <summary>Which positions and ids a divergence is taken over (evaluation.md section 6).</summary>
public enum DivergenceProtocol
{
    /// <summary><c>kl/block/LEN</c>: positions that predict a token of their block, ids that the tokenizer has.</summary>
    Block,

    /// <summary><c>kl/yaqa</c>: all positions, all ids of the model, padding included.</summary>
    Yaqa,
}
