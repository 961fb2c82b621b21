using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Which linears of a model are quantized and which stay dense.</summary>
/// <param name="Quantized">In model order.</param>
/// <param name="Skipped">In model order.</param>
public sealed record LinearSelection(IReadOnlyList<LinearShape> Quantized, IReadOnlyList<LinearShape> Skipped)
{
    /// <summary>Applies a skip list and checks every remaining shape.</summary>
    /// <param name="config">The model.</param>
    /// <param name="skip">Kinds (<c>gate</c>) or single matrices (<c>0_gate</c>).</param>
    /// <exception cref="ArgumentException">An entry that names nothing in this model.</exception>
    /// <exception cref="NotSupportedException">Shapes that cannot be quantized, and the <c>--skip</c> that leaves them dense.</exception>
    public static LinearSelection Choose(ModelConfig config, IReadOnlyList<string> skip)
    {
        IReadOnlyList<LinearShape> all = LinearShape.AllOf(config);
        foreach (string entry in skip)
        {
            if (!all.Any(l => Matches(l, entry)))
                throw new ArgumentException($"--skip {entry}: names no linear of this model; give kinds ({string.Join(", ", BlockLinears.All.Select(k => k.ShortName()))}) or single matrices such as 0_gate (layers 0 … {config.Layers - 1})");
        }
        LinearShape[] skipped = [.. all.Where(l => skip.Any(entry => Matches(l, entry)))], quantized = [.. all.Except(skipped)];
        (string Kind, string Reason)[] refused = [.. from l in quantized
                                                     let reason = LinearQuantizer.CheckShape(l.Rows, l.Columns)
                                                     where reason is not null
                                                     select (l.Kind.ShortName(), $"{l.Kind.ShortName()} ({l.Rows}, {l.Columns}): {reason}")];
        if (refused.Length > 0)
        {
            string kinds = string.Join(",", refused.Select(r => r.Kind).Distinct());
            throw new NotSupportedException($"cannot quantize {string.Join("; ", refused.Select(r => r.Reason).Distinct())}. Leave them dense with --skip {string.Join(",", skip.Append(kinds))}");
        }
        if (quantized.Length == 0)
            throw new ArgumentException("--skip leaves nothing to quantize");
        return new LinearSelection(quantized, skipped);
    }

    private static bool Matches(LinearShape linear, string entry) => entry == linear.Kind.ShortName() || entry == linear.ShortName;
}
