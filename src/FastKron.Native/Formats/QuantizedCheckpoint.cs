using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>The tensors of a linear in QTIP's checkpoints, and their reading.</summary>
/// <remarks>
/// Of W ≈ diag(SV) U_m Ŵ U_nᵀ diag(SU) with W (m, n) at K bits: <c>trellis</c> I16 ((m/16)(n/16), 16 K), the codes of Ŵ; <c>SU</c> (n);
/// <c>SV</c> (m), which holds the scale of the matrix; <c>tlut</c> F16 (512, 2), the code's table; <c>rcp</c> I64 (), 0 where one Hadamard
/// transform spans the axis; <c>tp_rank</c> I64 (), read by nobody where rcp is 0.
/// </remarks>
public static class QuantizedCheckpoint
{
    internal const string Trellis = "trellis", InputScale = "SU", OutputScale = "SV", Table = "tlut", Split = "rcp", SplitParts = "tp_rank";
    internal const long SplitPartsValue = 8;

    private const string HybridMode = "quantlut_sym";
    private const int TableBits = 9, Vector = 2, Tile = 16;
    private const string Cure = "config.json and weights are of different models, or the file is of another format";

    /// <summary>The name of a linear in <c>skip_list</c>.</summary>
    public static string SkipName(BlockLinear linear, int layer) => $"{layer}_{linear.ShortName()}";

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
        RequireSupported(parameters.DecodeMode, parameters.Bits, parameters.Vector, Path.Combine(folder.Path, "config.json") + ": quip_params");
        if (parameters.TableBits != TableBits)
        {
            throw new NotSupportedException(
                $"{Path.Combine(folder.Path, "config.json")}: quip_params.tlut_bits: found {parameters.TableBits}, supported is {TableBits}");
        }

        RequireShape(module, rows, columns);
        string prefix = module + ".";
        if (folder.Contains(prefix + Split) && Number(folder, prefix + Split) is var split and not 0)
        {
            throw new NotSupportedException(
                $"{folder.FileOf(prefix + Split).Path}: {prefix}{Split}: found {split}, supported is 0: one Hadamard transform over the whole axis");
        }

        long tiles = (long)(rows / Tile) * (columns / Tile);
        int words = Tile * parameters.Bits;
        ushort[] codes = Words(folder, prefix + Trellis, [SafetensorsType.I16, SafetensorsType.U16], [tiles, words], [tiles * words]);
        ushort[] table = Words(folder, prefix + Table, [SafetensorsType.F16], [1 << TableBits, Vector]);
        if (FiniteValues.IndexOfFirstBeyond(MemoryMarshal.AsBytes<ushort>(table), DType.F16, DType.F16) is var bad and >= 0)
        {
            throw Malformed(
                folder, $"{prefix}{Table}[{bad / Vector}, {bad % Vector}]", $"{BitConverter.UInt16BitsToHalf(table[bad])}", "a finite number");
        }
        return new QuantizedWeights(
            module, rows, columns, TrellisCodes.Hybrid(parameters.Bits, table), TrellisLayout.QtipKernel, codes,
            Scales(folder, prefix + InputScale, columns), Scales(folder, prefix + OutputScale, rows));
    }

    /// <summary>The tensors of one linear.</summary>
    internal static SafetensorsTensor[] Tensors(string module, int rows, int columns, int bits, SafetensorsType signs)
    {
        RequireShape(module, rows, columns);
        return
        [
            new($"{module}.{Trellis}", SafetensorsType.I16, [(long)(rows / Tile) * (columns / Tile), Tile * bits]),
            new($"{module}.{InputScale}", signs, [columns]),
            new($"{module}.{OutputScale}", SafetensorsType.F32, [rows]),
            new($"{module}.{Table}", SafetensorsType.F16, [1 << TableBits, Vector]),
            new($"{module}.{Split}", SafetensorsType.I64, []),
            new($"{module}.{SplitParts}", SafetensorsType.I64, []),
        ];
    }

    /// <summary>The <c>quip_params</c> of a folder.</summary>
    internal static JsonObject Parameters(TrellisCodebook codebook, IReadOnlyList<string> skip) => new()
    {
        ["codebook"] = "bitshift",
        ["codebook_version"] = 0,
        ["L"] = TrellisCodebook.StateBits,
        ["K"] = codebook.Bits,
        ["V"] = codebook.Vector,
        ["tlut_bits"] = TableBits,
        ["decode_mode"] = codebook.Name,
        ["td_x"] = Tile,
        ["td_y"] = Tile,
        ["split_for_tp"] = false,
        ["skip_list"] = skip.Count == 0 ? null : new JsonArray([.. skip.Select(static name => (JsonNode)name)]),
    };

    /// <summary>Refuses every code but HYB at 2, 3 or 4 bits, whose bits lie in the kernel layout.</summary>
    internal static void RequireSupported(string mode, int bits, int vector, string where)
    {
        if (mode != HybridMode || bits is < 2 or > 4 || vector != Vector)
        {
            throw new NotSupportedException(
                $"{where}: found {mode} with K = {bits}, V = {vector}; supported is {HybridMode} (HYB) with K = 2, 3 or 4 and V = {Vector}");
        }
    }

    private static void RequireShape(string module, int rows, int columns)
    {
        const int SuperTile = 2 * Tile;     // the kernel layout groups tiles 2 × 2
        if (rows % SuperTile != 0 || columns % SuperTile != 0)
        {
            throw new NotSupportedException(
                $"{module}: found shape ({rows}, {columns}), supported are multiples of {SuperTile} both ways; skip this linear");
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
        else
        {
            throw Malformed(folder, name, $"type {tensor.Type}", "F32, F16 or BF16");
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
