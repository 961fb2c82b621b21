using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>Writes a quantized model folder in QTIP's layout: codes, signs and scales of each quantized linear, everything else as in the source.</summary>
/// <remarks>
/// Linears are given one at a time in any order, so that no model has to be in memory. The folder appears whole or not at all.
/// Source: QTIP, Tseng et al., arXiv:2406.11235; tensors and <c>quip_params</c> as its checkpoints have them.
/// </remarks>
public sealed class QuantizedCheckpointWriter : IDisposable
{
    private readonly ModelFolderWriter _folder;
    private readonly ModelConfig _config;
    private readonly TrellisCodebook _codebook;
    private readonly IReadOnlyDictionary<string, TrellisCodebook> _others;
    private readonly IReadOnlyList<string> _skip;
    private readonly Dictionary<string, (int Rows, int Columns, TrellisCodebook Code)> _pending = [];
    private readonly DType _signType;

    private QuantizedCheckpointWriter(
        ModelFolder source, TrellisCodebook codebook, IReadOnlyDictionary<string, TrellisCodebook> others, IReadOnlyList<string> skip, string output, long shardBytes)
    {
        (_config, _codebook, _others, _skip) = (source.Config, codebook, others, skip);
        (_signType, SafetensorsType stored) = SignType(source);
        List<PlannedTensor> tensors = [];
        foreach (BlockLinear linear in BlockLinears.All)
        {
            for (int layer = 0; layer < _config.Layers; layer++)
            {
                string name = QuantizedCheckpoint.SkipName(linear, layer), module = linear.ModulePath(layer);
                if (skip.Contains(name))
                    continue;
                (int rows, int columns) = linear.Shape(_config);
                TrellisCodebook code = others.GetValueOrDefault(name, codebook);
                _pending.Add(module, (rows, columns, code));
                foreach (SafetensorsTensor tensor in QuantizedCheckpoint.Tensors(module, rows, columns, code, stored))
                    tensors.Add(new PlannedTensor(tensor, Copied: false));
            }
        }
        foreach (string name in source.TensorNames)
        {
            if (!(name.EndsWith(".weight", StringComparison.Ordinal) && _pending.ContainsKey(name[..^".weight".Length])))
                tensors.Add(new PlannedTensor(source.Describe(name), Copied: true));
        }
        _folder = ModelFolderWriter.Create(source, output, tensors, shardBytes);
    }

    /// <summary>Prepares the output beside its final place.</summary>
    /// <param name="source">The dense model; stays open until this is disposed.</param>
    /// <param name="output">Folder to make; must not exist.</param>
    /// <param name="codebook">HYB at 2, 3 or 4 bits, or a computed code: that of all linears but <paramref name="others"/>.</param>
    /// <param name="skip">Linears that stay dense, as <c>{layer}_{q|k|v|o|gate|up|down}</c>.</param>
    /// <param name="shardBytes">Largest file in bytes; one tensor is never split.</param>
    /// <param name="others">The same code at another rate for some linears, by their names in <paramref name="skip"/>; null for none.</param>
    /// <exception cref="NotSupportedException">Another code, a quantized source, or a linear that is no multiple of 32 (computed codes: 16) both ways.</exception>
    /// <exception cref="ArgumentException">Another code, a rate for what is no linear of the model, or one for a linear that stays dense.</exception>
    /// <exception cref="IOException">The output exists, or cannot be made.</exception>
    public static QuantizedCheckpointWriter Create(
        ModelFolder source, string output, TrellisCodebook codebook, IReadOnlyList<string> skip, long shardBytes = ModelFolderWriter.DefaultShardBytes,
        IReadOnlyDictionary<string, TrellisCodebook>? others = null)
    {
        others ??= new Dictionary<string, TrellisCodebook>();
        QuantizedCheckpoint.RequireSupported(codebook.Name, codebook.Bits, codebook.Vector, $"{output}: code");
        foreach ((string name, TrellisCodebook code) in others)
        {
            if (code.Name != codebook.Name)
                throw new ArgumentException($"{output}: {name} in {code.Name}, expected {codebook.Name}, the code of all linears", nameof(others));
            QuantizedCheckpoint.RequireSupported(code.Name, code.Bits, code.Vector, $"{output}: code of {name}");
        }
        if (source.Config.Quantization is not null)
            throw new NotSupportedException($"{source.Path}: is quantized already; supported is a dense model as source");
        if (others.Keys.Except(QuantizedCheckpoint.Names(source.Config.Layers).Except(skip)).FirstOrDefault() is { } unknown)
            throw new ArgumentException($"{output}: a rate for {unknown}, which is no quantized linear of this model", nameof(others));
        return new QuantizedCheckpointWriter(source, codebook, others, skip, output, shardBytes);
    }

    /// <summary>Writes one linear.</summary>
    /// <exception cref="ArgumentException">Not wanted or written before, or its code, layout, shape, lengths or scales do not fit.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Write(QuantizedWeights weights)
    {
        Check(weights);
        ReadOnlySpan<byte> signs = StoreSigns(weights);
        string prefix = weights.Name + ".";
        _folder.Write(prefix + QuantizedCheckpoint.Trellis, MemoryMarshal.AsBytes<ushort>(weights.Codes));
        _folder.Write(prefix + QuantizedCheckpoint.InputScale, signs);
        _folder.Write(prefix + QuantizedCheckpoint.OutputScale, MemoryMarshal.AsBytes<float>(weights.OutputScale));
        if (!weights.Codebook.Table.IsEmpty)
            _folder.Write(prefix + QuantizedCheckpoint.Table, MemoryMarshal.AsBytes(weights.Codebook.Table.Span));
        _folder.Write(prefix + QuantizedCheckpoint.Split, BitConverter.GetBytes(0L));
        _folder.Write(prefix + QuantizedCheckpoint.SplitParts, BitConverter.GetBytes(QuantizedCheckpoint.SplitPartsValue));
        _pending.Remove(weights.Name);
    }

    /// <summary>Writes the other tensors and files and gives the folder its name.</summary>
    /// <param name="origin">How it was made (seeds, options, source), for the manifest.</param>
    /// <param name="cancellation">Checked at least once a second.</param>
    /// <exception cref="InvalidOperationException">A linear was not written.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Complete(JsonObject origin, CancellationToken cancellation = default)
    {
        if (_pending.Count > 0)
        {
            throw new InvalidOperationException(
                $"{_folder.Path}: {_pending.Count} linears were not written: {string.Join(", ", _pending.Keys.Take(5))}");
        }
        _folder.Complete(config => config["quip_params"] = QuantizedCheckpoint.Parameters(_codebook, _others, _skip, _config.Layers), origin, cancellation);
    }

    /// <summary>Deletes what was written unless it was completed.</summary>
    public void Dispose() => _folder.Dispose();

    /// <summary>The tensors that a linear becomes in a folder made of <paramref name="source"/>.</summary>
    internal static SafetensorsTensor[] TensorsOf(ModelFolder source, QuantizedWeights weights) =>
        QuantizedCheckpoint.Tensors(weights.Name, weights.Rows, weights.Columns, weights.Codebook, SignType(source).Item2);

    // SU is kept in the model's type, as QTIP loads it: what config.json declares, else what the embedding has.
    private static (DType, SafetensorsType) SignType(ModelFolder source) => source.Config.TensorType switch
    {
        "bfloat16" => (DType.BF16, SafetensorsType.BF16),
        "float16" => (DType.F16, SafetensorsType.F16),
        "float32" => (DType.F32, SafetensorsType.F32),
        _ when source.Describe("model.embed_tokens.weight").Type is { Bits: 16 } type => (type == SafetensorsType.BF16 ? DType.BF16 : DType.F16, type),
        _ => (DType.F32, SafetensorsType.F32),
    };

    private void Check(QuantizedWeights weights)
    {
        string name = weights.Name;
        if (!_pending.TryGetValue(name, out (int Rows, int Columns, TrellisCodebook Code) shape))
            throw new ArgumentException($"{_folder.Path}: {name} is no linear that waits to be written");
        if (weights.Rows != shape.Rows || weights.Columns != shape.Columns)
            throw new ArgumentException($"{name}: expected shape ({shape.Rows}, {shape.Columns}), found ({weights.Rows}, {weights.Columns})");
        TrellisCodebook code = weights.Codebook, expected = shape.Code;
        if (code.Name != expected.Name || code.Bits != expected.Bits || code.Vector != expected.Vector || code.Table.Length != expected.Table.Length)
        {
            throw new ArgumentException(
                $"{name}: expected {expected.Name} at {expected.Bits} bits, found {code.Name} at {code.Bits} bits with a table of {code.Table.Length}");
        }
        if (weights.Layout != QuantizedCheckpoint.LayoutOf(code))
        {
            throw new ArgumentException(
                $"{name}: expected layout {QuantizedCheckpoint.LayoutOf(code)}, which QTIP's loader takes this code to have, found {weights.Layout}");
        }
        long words = (long)shape.Rows * shape.Columns * code.Bits / 16;
        if (weights.Codes.Length != words || weights.InputScale.Length != shape.Columns || weights.OutputScale.Length != shape.Rows)
        {
            throw new ArgumentException($"{name}: expected {words} code words, {shape.Columns} input and {shape.Rows} output scales, "
                + $"found {weights.Codes.Length}, {weights.InputScale.Length}, {weights.OutputScale.Length}");
        }
        if (weights.OutputScale.FirstOrDefault(static scale => !float.IsFinite(scale)) is var bad && bad != 0)
            throw new ArgumentException($"{name}: an output scale is {bad}");
    }

    private ReadOnlySpan<byte> StoreSigns(QuantizedWeights weights)
    {
        float[] scale = weights.InputScale;
        if (_signType == DType.F32)
            return MemoryMarshal.AsBytes<float>(scale);
        ushort[] stored = new ushort[scale.Length];
        for (int i = 0; i < scale.Length; i++)
        {
            bool wide = _signType == DType.BF16;
            stored[i] = wide ? BFloat16.FromSingle(scale[i]).Bits : BitConverter.HalfToUInt16Bits((Half)scale[i]);
            float back = wide ? new BFloat16(stored[i]).ToSingle() : (float)BitConverter.UInt16BitsToHalf(stored[i]);
            if (back != scale[i])
            {
                throw new ArgumentException(
                    $"{weights.Name}: input scale {i} is {scale[i]:R}, expected a number that {_signType} holds exactly, as the model's type demands");
            }
        }
        return MemoryMarshal.AsBytes<ushort>(stored);
    }
}
