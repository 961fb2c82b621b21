using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>The tensors of a linear in QTIP's checkpoints, and their reading.</summary>
/// <remarks>
/// Of W ≈ diag(SV) U_m Ŵ U_nᵀ diag(SU) with W (m, n) at K bits: <c>trellis</c> I16 ((m/16)(n/16), 16 K), the codes of Ŵ; <c>SU</c> (n);
/// <c>SV</c> (m), which holds the scale of the matrix; <c>tlut</c> F16 (512, 2), the table of HYB; <c>rcp</c> I64 (), 0 where one Hadamard
/// transform spans the axis; <c>tp_rank</c> I64 (), read by nobody where rcp is 0. HYB's bits lie in the kernel layout, those of the computed codes
/// (V = 1) in the plain one. Files of others differ in ways that are accepted: no <c>rcp</c> and <c>tp_rank</c> (QTIP deletes them on the first forward
/// pass, so that files written after it lack them), <c>trellis</c> of one dimension, SU and SV in any float type, another K for the value projections.
/// Source: QTIP, Tseng et al., arXiv:2406.11235; trellis-formats-and-kernels.md section 2.
/// </remarks>
public static class QuantizedCheckpoint
{
    internal const string Trellis = "trellis", InputScale = "SU", OutputScale = "SV", Table = "tlut", Split = "rcp", SplitParts = "tp_rank";
    internal const long SplitPartsValue = 8;

    private const string HybridMode = "quantlut_sym";
    private const int TableBits = 9, HybridVector = 2, Tile = 16;
    private const string Cure = "config.json and weights are of different models, or the file is of another format";

    /// <summary>The name of a linear in <c>skip_list</c>.</summary>
    public static string SkipName(BlockLinear linear, int layer) => $"{layer}_{linear.ShortName()}";

    /// <summary>All such names of a model, in model order.</summary>
    internal static IEnumerable<string> Names(int layers) =>
        Enumerable.Range(0, layers).SelectMany(layer => BlockLinears.All.Select(linear => SkipName(linear, layer)));

    /// <summary>Whether a folder holds codes for a linear.</summary>
    /// <param name="folder">A model folder.</param>
    /// <param name="module">Module path.</param>
    public static bool Holds(ModelFolder folder, string module) => folder.Contains($"{module}.{Trellis}");

    /// <summary>Reads one quantized linear.</summary>
    /// <param name="folder">A folder whose config.json has <c>quip_params</c>.</param>
    /// <param name="module">Module path.</param>
    /// <param name="rows">m.</param>
    /// <param name="columns">n.</param>
    /// <returns>Host arrays.</returns>
    /// <exception cref="InvalidDataException">A tensor is missing or has the wrong type, shape or values: file, name, found, expected.</exception>
    /// <exception cref="NotSupportedException">A code or a split that the engine has not, with what it has.</exception>
    public static QuantizedWeights Read(ModelFolder folder, string module, int rows, int columns)
    {
        QuantizationParameters parameters = folder.Config.Quantization
            ?? throw new InvalidDataException(
                $"{Path.Combine(folder.Path, "config.json")}: found no quip_params, expected them for the codes of {module}; {Cure}");
        int bits = parameters.BitsOf(module);
        RequireSupported(parameters.DecodeMode, bits, parameters.Vector, Path.Combine(folder.Path, "config.json") + ": quip_params");
        bool hybrid = parameters.DecodeMode == HybridMode;
        if (hybrid && parameters.TableBits != TableBits)
        {
            throw new NotSupportedException(
                $"{Path.Combine(folder.Path, "config.json")}: quip_params.tlut_bits: found {parameters.TableBits}, supported is {TableBits}");
        }

        TrellisLayout layout = hybrid ? TrellisLayout.QtipKernel : TrellisLayout.QtipPlain;
        RequireShape(module, layout, rows, columns);
        string prefix = module + ".";
        if (folder.Contains(prefix + Split) && Number(folder, prefix + Split) is var split and not 0)
        {
            throw new NotSupportedException(
                $"{folder.FileOf(prefix + Split).Path}: {prefix}{Split}: found {split}, supported is 0: one Hadamard transform over the whole axis");
        }

        long tiles = (long)(rows / Tile) * (columns / Tile);
        int words = Tile * bits;
        ushort[] codes = Words(folder, prefix + Trellis, [SafetensorsType.I16, SafetensorsType.U16], [tiles, words], [tiles * words]);
        TrellisCodebook code = hybrid ? TrellisCodes.Hybrid(bits, ReadTable(folder, prefix + Table)) : Computed(parameters.DecodeMode, bits)!;
        return new QuantizedWeights(
            module, rows, columns, code, layout, codes, Scales(folder, prefix + InputScale, columns), Scales(folder, prefix + OutputScale, rows));
    }

    /// <summary>Where QTIP's loader takes the bits of a code to lie.</summary>
    internal static TrellisLayout LayoutOf(TrellisCodebook code) => code.Name == HybridMode ? TrellisLayout.QtipKernel : TrellisLayout.QtipPlain;

    /// <summary>The tensors of one linear.</summary>
    internal static SafetensorsTensor[] Tensors(string module, int rows, int columns, TrellisCodebook code, SafetensorsType signs)
    {
        RequireShape(module, LayoutOf(code), rows, columns);
        SafetensorsTensor[] tensors =
        [
            new($"{module}.{Trellis}", SafetensorsType.I16, [(long)(rows / Tile) * (columns / Tile), Tile * code.Bits]),
            new($"{module}.{InputScale}", signs, [columns]),
            new($"{module}.{OutputScale}", SafetensorsType.F32, [rows]),
            new($"{module}.{Split}", SafetensorsType.I64, []),
            new($"{module}.{SplitParts}", SafetensorsType.I64, []),
        ];
        return code.Table.IsEmpty ? tensors : [.. tensors, new($"{module}.{Table}", SafetensorsType.F16, [1 << TableBits, HybridVector])];
    }

    /// <summary>The <c>quip_params</c> of a folder.</summary>
    /// <param name="codebook">Code of the linears that are not named.</param>
    /// <param name="others">Those in the same code at another rate, by skip-list name.</param>
    /// <param name="skip">Linears left dense.</param>
    /// <param name="layers">Blocks of the model.</param>
    internal static JsonObject Parameters(TrellisCodebook codebook, IReadOnlyDictionary<string, TrellisCodebook> others, IReadOnlyList<string> skip, int layers)
    {
        var parameters = new JsonObject
        {
            ["codebook"] = "bitshift",
            ["codebook_version"] = 0,
            ["L"] = TrellisCodebook.StateBits,
            ["K"] = codebook.Bits,
            ["V"] = codebook.Vector,
            ["tlut_bits"] = codebook.Table.IsEmpty ? 0 : TableBits,
            ["decode_mode"] = codebook.Name,
            ["td_x"] = Tile,
            ["td_y"] = Tile,
            ["split_for_tp"] = false,
            ["skip_list"] = skip.Count == 0 ? null : new JsonArray([.. skip.Select(static name => (JsonNode)name)]),
        };
        // QTIP can say that all value projections have another rate, and no more.
        string[] values = [.. Enumerable.Range(0, layers).Select(layer => SkipName(BlockLinear.Value, layer)).Except(skip)];
        bool onlyValues = others.Count > 0 && others.Values.Select(code => code.Bits).Distinct().Count() == 1 && others.Keys.ToHashSet().SetEquals(values);
        if (onlyValues)
            parameters["K_v_proj"] = others.Values.First().Bits;
        else if (others.Count > 0)
            parameters["K_linear"] = new JsonObject([.. Names(layers).Where(others.ContainsKey).Select(name => KeyValuePair.Create<string, JsonNode?>(name, others[name].Bits))]);
        // EXL3's codes and rates of single linears, which QTIP's own loader has not.
        if (codebook.Name is "mul1" or "mcg" || (others.Count > 0 && !onlyValues))
            parameters["fastkron_extension"] = true;
        return parameters;
    }

    /// <summary>Refuses every code but HYB at 2, 3 or 4 bits, and the computed ones.</summary>
    internal static void RequireSupported(string mode, int bits, int vector, string where)
    {
        bool supported = mode == HybridMode ? bits is >= 2 and <= 4 && vector == HybridVector : bits is >= 1 and <= 8 && vector == 1 && Computed(mode, bits) is not null;
        if (!supported)
        {
            throw new NotSupportedException($"{where}: found {mode} with K = {bits}, V = {vector}; "
                + $"supported is {HybridMode} (HYB) with K = 2, 3 or 4 and V = {HybridVector}, and 1mad, 3inst, mcg and mul1 with K = 1 to 8 and V = 1");
        }
    }

    // A code without table, or null.
    private static TrellisCodebook? Computed(string mode, int bits) => mode switch
    {
        "1mad" => TrellisCodes.OneMad(bits),
        "3inst" => TrellisCodes.ThreeInstructions(bits),
        "mcg" => TrellisCodes.MultiplicativeCongruence(bits),
        "mul1" => TrellisCodes.MultipliedSums(bits),
        _ => null,
    };

    private static ushort[] ReadTable(ModelFolder folder, string name)
    {
        ushort[] table = Words(folder, name, [SafetensorsType.F16], [1 << TableBits, HybridVector]);
        int bad = FiniteValues.IndexOfFirstBeyond(MemoryMarshal.AsBytes<ushort>(table), DType.F16, DType.F16);
        return bad < 0 ? table
            : throw Malformed(folder, $"{name}[{bad / HybridVector}, {bad % HybridVector}]", $"{BitConverter.UInt16BitsToHalf(table[bad])}", "a finite number");
    }

    private static void RequireShape(string module, TrellisLayout layout, int rows, int columns)
    {
        int multiple = TrellisPacking.Granularity(layout);
        if (rows % multiple != 0 || columns % multiple != 0)
        {
            throw new NotSupportedException(
                $"{module}: found shape ({rows}, {columns}), supported are multiples of {multiple} both ways; skip this linear");
        }
    }

    private static InvalidDataException Malformed(ModelFolder folder, string name, string found, string expected) =>
        MalformedFile.In(folder.Path, name, found, expected, Cure);

    private static long Number(ModelFolder folder, string name)
    {
        SafetensorsTensor tensor = folder.Describe(name);
        if (tensor.Type != SafetensorsType.I64 || tensor.Bytes != sizeof(long))
            throw Malformed(folder, name, $"{tensor.Type} {SafetensorsTensor.Describe(tensor.Shape)}", "one I64 number");
        return BitConverter.ToInt64(folder.RawBytes(name));
    }

    private static ushort[] Words(ModelFolder folder, string name, SafetensorsType[] types, params long[][] shapes)
    {
        SafetensorsTensor tensor = folder.Describe(name);
        if (!types.Contains(tensor.Type) || !shapes.Any(tensor.Shape.SequenceEqual))
        {
            throw Malformed(folder, name, $"{tensor.Type} {SafetensorsTensor.Describe(tensor.Shape)}",
                $"{string.Join<SafetensorsType>(" or ", types)} {string.Join(" or ", shapes.Select(SafetensorsTensor.Describe))}");
        }
        ushort[] words = new ushort[checked((int)(tensor.Bytes / sizeof(ushort)))];
        folder.RawBytes(name).CopyTo(MemoryMarshal.AsBytes(words.AsSpan()));
        return words;
    }

    private static float[] Scales(ModelFolder folder, string name, int length)
    {
        SafetensorsTensor tensor = folder.Describe(name);
        if (!tensor.Shape.SequenceEqual([(long)length]))
            throw Malformed(folder, name, $"shape {SafetensorsTensor.Describe(tensor.Shape)}", $"({length})");
        float[] scales = new float[length];
        ReadOnlySpan<byte> stored = folder.RawBytes(name);
        if (tensor.Type == SafetensorsType.F32)
        {
            stored.CopyTo(MemoryMarshal.AsBytes(scales.AsSpan()));
        }
        else if (tensor.Type == SafetensorsType.F16)
        {
            TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(stored), scales);
        }
        else if (tensor.Type == SafetensorsType.BF16)
        {
            for (int i = 0; i < length; i++)
                scales[i] = MemoryMarshal.Cast<byte, BFloat16>(stored)[i].ToSingle();
        }
        else if (tensor.Type == SafetensorsType.F64)
        {
            TensorPrimitives.ConvertTruncating(MemoryMarshal.Cast<byte, double>(stored), scales);
        }
        else
        {
            throw Malformed(folder, name, $"type {tensor.Type}", "F32, F16, BF16 or F64");
        }
        RequireFinite(folder, name, scales);
        return scales;
    }

    private static void RequireFinite(ModelFolder folder, string name, ReadOnlySpan<float> values)
    {
        int bad = FiniteValues.IndexOfFirstBeyond(MemoryMarshal.AsBytes(values), DType.F32, DType.F32);
        if (bad >= 0)
            throw Malformed(folder, $"{name}[{bad}]", $"{values[bad]}", "a finite number");
    }
}
