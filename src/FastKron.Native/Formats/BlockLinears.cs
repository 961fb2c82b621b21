namespace FastKron.Native.Formats;

/// <summary>Names and shapes of the linear layers of a block.</summary>
public static class BlockLinears
{
    private static readonly string[] ShortNames = ["q", "k", "v", "o", "gate", "up", "down"];

    /// <summary>All seven in order.</summary>
    public static IReadOnlyList<BlockLinear> All { get; } = Enum.GetValues<BlockLinear>();

    /// <summary>The linears that share an input, in the order in which a block runs them.</summary>
    public static IReadOnlyList<IReadOnlyList<BlockLinear>> Groups { get; } =
        [[BlockLinear.Query, BlockLinear.Key, BlockLinear.Value], [BlockLinear.Output], [BlockLinear.Gate, BlockLinear.Up], [BlockLinear.Down]];

    /// <summary>The name in skip lists and reports: q, k, v, o, gate, up or down.</summary>
    public static string ShortName(this BlockLinear linear) => ShortNames[(int)linear];

    /// <summary>The module path in a checkpoint, for example <c>model.layers.0.self_attn.q_proj</c>.</summary>
    public static string ModulePath(this BlockLinear linear, int layer) =>
        $"model.layers.{layer}.{(linear <= BlockLinear.Output ? "self_attn" : "mlp")}.{linear.ShortName()}_proj";

    /// <summary>m and n of the weight matrix in a model of this configuration.</summary>
    public static (int Outputs, int Inputs) Shape(this BlockLinear linear, ModelConfig config)
    {
        int hidden = config.HiddenSize, queries = config.Heads * config.HeadDimension, keys = config.KeyHeads * config.HeadDimension;
        return linear switch
        {
            BlockLinear.Query => (queries, hidden),
            BlockLinear.Key or BlockLinear.Value => (keys, hidden),
            BlockLinear.Output => (hidden, queries),
            BlockLinear.Gate or BlockLinear.Up => (config.IntermediateSize, hidden),
            BlockLinear.Down => (hidden, config.IntermediateSize),
            _ => throw new ArgumentOutOfRangeException(nameof(linear)),
        };
    }
}
