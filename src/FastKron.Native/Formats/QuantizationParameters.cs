namespace FastKron.Native.Formats;

/// <summary>The <c>quip_params</c> object of a quantized folder's config.json (hessians-and-rounding.md section 6).</summary>
/// <param name="Bits">K, bits per weight.</param>
/// <param name="Vector">V, weights per step.</param>
/// <param name="DecodeMode">quantlut_sym (HYB), 1mad, 3inst, mul1, mcg.</param>
/// <param name="TableBits">Index bits of the lookup table; 0 for computed codes.</param>
/// <param name="SkipList">Linears left dense, as <c>{layer}_{q|k|v|o|gate|up|down}</c>.</param>
/// <param name="ValueBits">K of the value projections (<c>K_v_proj</c>); null for that of all.</param>
/// <param name="LinearBits">K of single linears by module path (<c>K_linear</c>, ours), before the other two; null for none.</param>
public sealed record QuantizationParameters(
    int Bits, int Vector, string DecodeMode, int TableBits, IReadOnlyList<string> SkipList, int? ValueBits = null, IReadOnlyDictionary<string, int>? LinearBits = null)
{
    /// <summary>K of a linear.</summary>
    /// <param name="module">Module path.</param>
    public int BitsOf(string module) => LinearBits is not null && LinearBits.TryGetValue(module, out int own) ? own
        : ValueBits is { } values && module.EndsWith(".v_proj", StringComparison.Ordinal) ? values : Bits;
}
