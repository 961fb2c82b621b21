using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;

namespace FastKron.Native.Models;

/// <summary>One decoder block: norm, attention, residual; norm, gated MLP, residual.</summary>
/// <remarks>Blocks of one model share scratch memory: only one may run at a time.</remarks>
public sealed class DecoderBlock : IDisposable
{
    private readonly IBackend _backend;
    private readonly ModelConfig _config;
    private readonly BlockNorms _norms;
    private readonly RotaryTables _rotary;
    private readonly Workspace _workspace;

    /// <summary>Takes over linears (in the order of <see cref="BlockLinear"/>) and norms; rotary tables and workspace stay the model's.</summary>
    internal DecoderBlock(IBackend backend, ModelConfig config, int index, IReadOnlyList<ILinear> linears, BlockNorms norms, RotaryTables rotary, Workspace workspace)
    {
        (_backend, _config, Index, Linears) = (backend, config, index, linears);
        (_norms, _rotary, _workspace) = (norms, rotary, workspace);
    }

    /// <summary>Number of the block in the model, from 0.</summary>
    public int Index { get; }

    /// <summary>The seven linears in the order q, k, v, o, gate, up, down.</summary>
    public IReadOnlyList<ILinear> Linears { get; }

    /// <summary>Bytes of the weights on the backend.</summary>
    public long WeightBytes => Linears.Sum(l => l.WeightBytes) + _norms.Bytes;

    /// <summary>hidden ← block(hidden), in place. hidden (T, hidden size), activation type.</summary>
    /// <param name="batch">Positions and attention layout.</param>
    /// <param name="hidden">Overwritten.</param>
    /// <param name="cache">Keys and values of earlier tokens; this batch's are appended to it. Null for whole sequences.</param>
    /// <param name="observeInput">Sees each of the seven linears once with its input (T, n), while that lives; null if not wanted.</param>
    public void Forward(PackedBatch batch, Tensor hidden, KeyValueCache? cache = null, Action<ILinear, Tensor>? observeInput = null)
    {
        Tensor? input = Begin(hidden);
        for (int group = 0; input is not null; group++)
            input = Advance(group, batch, input, hidden, cache, observeInput);
    }

    /// <summary>A forward pass in steps: the input (T, n) of the first of <see cref="BlockLinears.Groups"/>.</summary>
    /// <param name="hidden">(T, hidden size): input of the block. Not changed.</param>
    /// <returns>Scratch memory: good until the block is used again.</returns>
    public Tensor Begin(Tensor hidden) => Normed(hidden, _norms.Attention, Scratch.AttentionInput);

    /// <summary>A forward pass in steps: runs the linears of a group and what follows them, up to the input of the next group.</summary>
    /// <param name="group">Number in <see cref="BlockLinears.Groups"/>, from 0.</param>
    /// <param name="batch">As in <see cref="Forward"/>.</param>
    /// <param name="input">(T, n): input of the group. Not changed.</param>
    /// <param name="hidden">(T, hidden size): the residual stream; groups 1 and 3 add to it.</param>
    /// <param name="cache">As in <see cref="Forward"/>.</param>
    /// <param name="observeInput">Likewise.</param>
    /// <returns>Scratch memory: good until the block is used again. Null after the last group.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No such group.</exception>
    public Tensor? Advance(int group, PackedBatch batch, Tensor input, Tensor hidden, KeyValueCache? cache = null, Action<ILinear, Tensor>? observeInput = null)
    {
        switch (group)
        {
            case 0:
                return Attend(batch, input, cache, observeInput);
            case 1:
                AddBranch(BlockLinear.Output, input, hidden, observeInput);
                return Normed(hidden, _norms.Mlp, Scratch.MlpInput);
            case 2:
                return Gated(input, observeInput);
            case 3:
                AddBranch(BlockLinear.Down, input, hidden, observeInput);
                return null;
            default:
                throw new ArgumentOutOfRangeException(nameof(group), $"{group}: expected the number of a group, 0 to {BlockLinears.Groups.Count - 1}");
        }
    }

    /// <summary>Recomputes the block from its input and backpropagates through it.</summary>
    /// <param name="batch">Positions and attention layout; whole sequences.</param>
    /// <param name="input">(T, hidden size): what <see cref="Forward"/> was given. Not changed.</param>
    /// <param name="gradient">(T, hidden size): in, gradient of the block's output; out, gradient of its input.</param>
    /// <param name="observer">Sees (X, D) of the seven linears, each once.</param>
    /// <remarks>Costs a forward pass without the down projection and as much again as a forward pass.</remarks>
    public void Backward(PackedBatch batch, Tensor input, Tensor gradient, ILinearObserver observer)
    {
        int tokens = batch.Tokens;
        Tensor normed = Normed(input, _norms.Attention, Scratch.AttentionInput);
        Tensor queries = Heads(batch, normed, out Tensor keys, out Tensor values, observeInput: null);
        Tensor mixed = Get(Scratch.Mixed, tokens, queries.Columns);
        Tensor logSumExp = _workspace.Get(Scratch.LogSumExp, DType.F32, tokens, _config.Heads);
        _backend.Attention(queries, keys, values, batch.Layout, mixed, logSumExp);
        Tensor middle = Get(Scratch.Middle, tokens, _config.HiddenSize);
        _backend.Convert(input, middle);
        AddBranch(BlockLinear.Output, mixed, middle, observeInput: null);

        MlpBackward(middle, gradient, observer);

        Tensor dMixed = Get(Scratch.DMixed, tokens, mixed.Columns);
        BackwardLinear(BlockLinear.Output, mixed, gradient, dMixed, accumulate: false, observer);
        Tensor dQueries = Get(Scratch.DQueries, tokens, queries.Columns), dKeys = Get(Scratch.DKeys, tokens, keys.Columns);
        Tensor dValues = Get(Scratch.DValues, tokens, values.Columns);
        _backend.AttentionBackward(dMixed, queries, keys, values, mixed, logSumExp, batch.Layout, dQueries, dKeys, dValues);
        dQueries = HeadsBackward(batch, dQueries, _norms.Queries, Scratch.RawQueries, Scratch.DRawQueries);
        dKeys = HeadsBackward(batch, dKeys, _norms.Keys, Scratch.RawKeys, Scratch.DRawKeys);

        Tensor dNormed = Get(Scratch.DNormed, tokens, _config.HiddenSize);
        BackwardLinear(BlockLinear.Query, normed, dQueries, dNormed, accumulate: false, observer);
        BackwardLinear(BlockLinear.Key, normed, dKeys, dNormed, accumulate: true, observer);
        BackwardLinear(BlockLinear.Value, normed, dValues, dNormed, accumulate: true, observer);
        _backend.RmsNormBackward(dNormed, input, _norms.Attention, _config.RmsNormEpsilon, gradient, accumulate: true);
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        foreach (ILinear linear in Linears)
            linear.Dispose();
        _norms.Dispose();
    }

    private Tensor Attend(PackedBatch batch, Tensor normed, KeyValueCache? cache, Action<ILinear, Tensor>? observeInput)
    {
        Tensor queries = Heads(batch, normed, out Tensor keys, out Tensor values, observeInput);
        if (cache is not null)
            (keys, values) = cache.Append(Index, keys, values);
        if (batch.KeyRows is { } rows)
            (keys, values) = (Gather(rows, keys, Scratch.SharedKeys), Gather(rows, values, Scratch.SharedValues));
        Tensor mixed = Get(Scratch.Mixed, batch.Tokens, queries.Columns);
        _backend.Attention(queries, keys, values, batch.Layout, mixed, logSumExp: null);
        return mixed;
    }

    // Projections, per-head norms where the model has them, rotary embedding.
    private Tensor Heads(PackedBatch batch, Tensor normed, out Tensor keys, out Tensor values, Action<ILinear, Tensor>? observeInput)
    {
        _rotary.Reserve(batch.PositionCount);
        values = Get(Scratch.Values, batch.Tokens, Linear(BlockLinear.Value).Outputs);
        ForwardLinear(BlockLinear.Value, normed, values, observeInput);
        keys = Rotated(batch, BlockLinear.Key, normed, _norms.Keys, Scratch.RawKeys, Scratch.Keys, observeInput);
        return Rotated(batch, BlockLinear.Query, normed, _norms.Queries, Scratch.RawQueries, Scratch.Queries, observeInput);
    }

    private Tensor Rotated(
        PackedBatch batch, BlockLinear kind, Tensor normed, Tensor? headNorm, Scratch rawSlot, Scratch slot, Action<ILinear, Tensor>? observeInput)
    {
        Tensor heads = Get(slot, batch.Tokens, Linear(kind).Outputs);
        if (headNorm is null)
        {
            ForwardLinear(kind, normed, heads, observeInput);
        }
        else
        {
            Tensor raw = Get(rawSlot, batch.Tokens, heads.Columns);
            ForwardLinear(kind, normed, raw, observeInput);
            _backend.RmsNorm(raw, headNorm, _config.RmsNormEpsilon, heads);
        }
        _backend.Rotary(heads, batch.Positions, _rotary.Cosines, _rotary.Sines, _config.HeadDimension, inverse: false);
        return heads;
    }

    // Row keyRows[i] of a batch's keys or values becomes row i: an embedding lookup in another guise.
    private Tensor Gather(Tensor keyRows, Tensor source, Scratch slot)
    {
        Tensor gathered = Get(slot, keyRows.Columns, source.Columns);
        _backend.Embedding(keyRows, source, gathered);
        return gathered;
    }

    private Tensor HeadsBackward(PackedBatch batch, Tensor dHeads, Tensor? headNorm, Scratch rawSlot, Scratch dRawSlot)
    {
        _backend.Rotary(dHeads, batch.Positions, _rotary.Cosines, _rotary.Sines, _config.HeadDimension, inverse: true);
        if (headNorm is null)
            return dHeads;
        Tensor raw = Get(rawSlot, batch.Tokens, dHeads.Columns), dRaw = Get(dRawSlot, batch.Tokens, dHeads.Columns);
        _backend.RmsNormBackward(dHeads, raw, headNorm, _config.RmsNormEpsilon, dRaw, accumulate: false);
        return dRaw;
    }

    private Tensor Gated(Tensor normed, Action<ILinear, Tensor>? observeInput)
    {
        int tokens = normed.Rows;
        Tensor gate = Get(Scratch.Gate, tokens, _config.IntermediateSize), up = Get(Scratch.Up, tokens, _config.IntermediateSize);
        Tensor gated = Get(Scratch.Gated, tokens, _config.IntermediateSize);
        ForwardLinear(BlockLinear.Gate, normed, gate, observeInput);
        ForwardLinear(BlockLinear.Up, normed, up, observeInput);
        _backend.SwiGlu(gate, up, gated);
        return gated;
    }

    // gradient: of the block's output in, of the residual stream before the MLP out.
    private void MlpBackward(Tensor middle, Tensor gradient, ILinearObserver observer)
    {
        int tokens = middle.Rows, inner = _config.IntermediateSize;
        Tensor normed = Normed(middle, _norms.Mlp, Scratch.MlpInput), gated = Gated(normed, observeInput: null);
        Tensor dGated = Get(Scratch.DGated, tokens, inner), dGate = Get(Scratch.DGate, tokens, inner), dUp = Get(Scratch.DUp, tokens, inner);
        BackwardLinear(BlockLinear.Down, gated, gradient, dGated, accumulate: false, observer);
        _backend.SwiGluBackward(dGated, Get(Scratch.Gate, tokens, inner), Get(Scratch.Up, tokens, inner), dGate, dUp);
        Tensor dNormed = Get(Scratch.DNormed, tokens, _config.HiddenSize);
        BackwardLinear(BlockLinear.Gate, normed, dGate, dNormed, accumulate: false, observer);
        BackwardLinear(BlockLinear.Up, normed, dUp, dNormed, accumulate: true, observer);
        _backend.RmsNormBackward(dNormed, middle, _norms.Mlp, _config.RmsNormEpsilon, gradient, accumulate: true);
    }

    private Tensor Normed(Tensor hidden, Tensor weight, Scratch slot)
    {
        Tensor normed = Get(slot, hidden.Rows, _config.HiddenSize);
        _backend.RmsNorm(hidden, weight, _config.RmsNormEpsilon, normed);
        return normed;
    }

    private void BackwardLinear(BlockLinear kind, Tensor x, Tensor d, Tensor dx, bool accumulate, ILinearObserver observer)
    {
        observer.Observe(Linear(kind), x, d);
        Linear(kind).BackwardInput(d, dx, accumulate);
    }

    private void ForwardLinear(BlockLinear kind, Tensor x, Tensor y, Action<ILinear, Tensor>? observeInput)
    {
        observeInput?.Invoke(Linear(kind), x);
        Linear(kind).Forward(x, y);
    }

    private void AddBranch(BlockLinear kind, Tensor x, Tensor hidden, Action<ILinear, Tensor>? observeInput)
    {
        Tensor branch = Get(Scratch.Branch, hidden.Rows, hidden.Columns);
        ForwardLinear(kind, x, branch, observeInput);
        _backend.Add(branch, hidden);
    }

    private ILinear Linear(BlockLinear kind) => Linears[(int)kind];

    private Tensor Get(Scratch slot, int rows, int columns) => _workspace.Get(slot, _backend.ActivationType, rows, columns);
}

/// <summary>RMSNorm weights of a block, F32.</summary>
/// <param name="Attention">(1, hidden), before q, k and v.</param>
/// <param name="Mlp">(1, hidden), before gate and up.</param>
/// <param name="Queries">(1, head dimension), or null for models without it.</param>
/// <param name="Keys">Like <paramref name="Queries"/>.</param>
internal sealed record BlockNorms(Tensor Attention, Tensor Mlp, Tensor? Queries, Tensor? Keys) : IDisposable
{
    /// <summary>Bytes of the weights.</summary>
    public long Bytes => Attention.Bytes + Mlp.Bytes + (Queries?.Bytes ?? 0) + (Keys?.Bytes ?? 0);

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        Attention.Dispose();
        Mlp.Dispose();
        Queries?.Dispose();
        Keys?.Dispose();
    }
}
