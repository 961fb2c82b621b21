using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>One linear of a model.</summary>
/// <param name="Layer">Number of its block.</param>
/// <param name="Kind">Which of the seven.</param>
/// <param name="Rows">m, outputs.</param>
/// <param name="Columns">n, inputs.</param>
public sealed record LinearShape(int Layer, BlockLinear Kind, int Rows, int Columns)
{
    /// <summary>Module path.</summary>
    public string Name => Kind.ModulePath(Layer);

    /// <summary>Name in <c>skip_list</c>: <c>{layer}_{kind}</c>.</summary>
    public string ShortName => $"{Layer}_{Kind.ShortName()}";

    /// <summary>Number of the matrix in model order; the Philox item of its signs.</summary>
    public uint Index => (uint)(BlockLinears.All.Count * Layer + (int)Kind);

    /// <summary>m · n.</summary>
    public long Weights => (long)Rows * Columns;

    /// <summary>All linears of a model, in order.</summary>
    public static IReadOnlyList<LinearShape> AllOf(ModelConfig config) =>
        [.. from layer in Enumerable.Range(0, config.Layers)
            from kind in BlockLinears.All
            let shape = kind.Shape(config)
            select new LinearShape(layer, kind, shape.Outputs, shape.Inputs)];
}
