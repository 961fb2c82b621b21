using FastKron.Native.Formats;

namespace FastKron.Native.Fisher;

/// <summary>A folder with the factors of a model's linears, made by this program or by the published ones.</summary>
/// <remarks>
/// Of a linear such as <c>model.layers.3.mlp.down_proj</c> one of: <c>model.layers.3.mlp.down_proj.safetensors</c> (<see cref="FactorFile"/>);
/// <c>model_layers_3_mlp_down_proj.safetensors</c> with <c>XF</c> and <c>YF</c> (FastKron); <c>3_down_hin.pt</c> and <c>3_down_hout.pt</c>, or one of them
/// (YAQA; the other factor is then the identity).
/// </remarks>
public static class FactorFolder
{
    /// <summary>Reads the factors of a linear; the caller disposes them.</summary>
    /// <param name="folder">Folder.</param>
    /// <param name="linear">Which linear of its block.</param>
    /// <param name="layer">Number of the block.</param>
    /// <param name="outputs">m.</param>
    /// <param name="inputs">n.</param>
    /// <returns>Factors with mean diagonal 1.</returns>
    /// <exception cref="InvalidDataException">None, more than one kind, or files that are damaged or of another linear or shape.</exception>
    public static KroneckerFactors Read(string folder, BlockLinear linear, int layer, int outputs, int inputs)
    {
        string module = linear.ModulePath(layer);
        (string? own, string? published, string? hOut, string? hIn) = Find(folder, linear, layer);
        return own is not null ? FactorFile.Read(own, module, outputs, inputs)
            : published is not null ? ForeignFactors.ReadPublished(published, module, outputs, inputs)
            : ForeignFactors.ReadSketch(hOut, hIn, module, outputs, inputs);
    }

    /// <summary>Checks that the factors of a linear are there, and of our own files their shape; reads no values.</summary>
    /// <inheritdoc cref="Read"/>
    public static void Require(string folder, BlockLinear linear, int layer, int outputs, int inputs)
    {
        if (Find(folder, linear, layer).Own is { } own)
            FactorFile.RequireShapes(own, linear.ModulePath(layer), outputs, inputs);
    }

    // Exactly one kind of file; of a sketch at least one of both.
    private static (string? Own, string? Published, string? HOut, string? HIn) Find(string folder, BlockLinear linear, int layer)
    {
        string module = linear.ModulePath(layer), sketch = Path.Combine(folder, $"{layer}_{linear.ShortName()}");
        string own = Path.Combine(folder, FactorFile.NameOf(module)), published = Path.Combine(folder, $"{module.Replace('.', '_')}.safetensors");
        string? hIn = Existing(sketch + "_hin.pt"), hOut = Existing(sketch + "_hout.pt");
        string?[] kinds = [Existing(own), Existing(published), hIn ?? hOut];
        if (kinds.Count(static path => path is not null) != 1)
        {
            string found = kinds.All(static path => path is null) ? "no factors" : string.Join(" and ", kinds.OfType<string>().Select(Path.GetFileName));
            throw MalformedFile.In(
                folder, module, found, $"one of {Path.GetFileName(own)}, {Path.GetFileName(published)} or {Path.GetFileName(sketch)}_hin.pt and _hout.pt",
                "give the folder that fastkron factors made for this model, or one of FastKron's or YAQA's");
        }
        return (kinds[0], kinds[1], hOut, hIn);
    }

    /// <summary>Reads how the factors of a linear were made; of our own files that is all that is read.</summary>
    /// <inheritdoc cref="Read"/>
    /// <returns>The evidence.</returns>
    public static FactorEvidence ReadEvidence(string folder, BlockLinear linear, int layer, int outputs, int inputs)
    {
        string module = linear.ModulePath(layer), own = Path.Combine(folder, FactorFile.NameOf(module));
        if (File.Exists(own))
            return FactorFile.ReadEvidence(own, module);
        using KroneckerFactors factors = Read(folder, linear, layer, outputs, inputs);
        return factors.Evidence;
    }

    private static string? Existing(string path) => File.Exists(path) ? path : null;
}
