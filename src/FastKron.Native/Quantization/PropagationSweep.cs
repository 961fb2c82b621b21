using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;

namespace FastKron.Native.Quantization;

/// <summary>A model whose matrices are replaced by their quantized ones from the first block on, and the hidden states of calibration tokens in it and in the original.</summary>
/// <remarks>
/// In every block: <see cref="Enter"/>, while its matrices are the original's; then for each of <see cref="BlockLinears.Groups"/> in turn <see cref="Measure"/>,
/// <see cref="Replace"/> and <see cref="Advance"/>; then <see cref="Leave"/>. Per token that costs two forward passes and the products of <see cref="InputDrift"/>.
/// </remarks>
internal sealed class PropagationSweep : IDisposable
{
    private readonly IBackend _backend;
    private readonly DecoderModel _model;
    private readonly StageClock<RoundingPhase> _clock;
    private readonly List<MicroBatch> _batches;
    private readonly Tensor[] _original, _moved;        // hidden states by batch
    private readonly Tensor?[] _inputs;                 // of the group in work, in the quantized model, by batch
    private readonly Seen?[,] _seen;                    // what the original's linears of the block saw, by group and batch
    private BlockLease? _lease;

    /// <summary>Embeds the tokens.</summary>
    /// <param name="model">The original, dense, with no blocks that stay on the backend: the matrices of the block in work are overwritten.</param>
    /// <param name="sequences">Calibration sequences.</param>
    /// <param name="clock">Counts the time.</param>
    public PropagationSweep(DecoderModel model, IReadOnlyList<int[]> sequences, StageClock<RoundingPhase> clock)
    {
        (_backend, _model, _clock) = (model.Backend, model, clock);
        _batches = MicroBatch.Cut(model, [sequences], _backend.BatchTokens);
        (_original, _moved, _inputs) = (new Tensor[_batches.Count], new Tensor[_batches.Count], new Tensor[_batches.Count]);
        _seen = new Seen[BlockLinears.Groups.Count, _batches.Count];
        try
        {
            for (int i = 0; i < _batches.Count; i++)
            {
                _original[i] = _backend.Allocate(_backend.ActivationType, _batches[i].Batch.Tokens, model.Config.HiddenSize);
                model.Embed(_batches[i].Batch, _original[i]);
                _moved[i] = Copy(_original[i]);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private DecoderBlock Block => _lease!.Value.Block;

    /// <summary>Most bytes that a sweep over so many tokens holds beside embedding, head and scratch memory.</summary>
    public static long Bytes(ModelConfig config, IBackend backend, long tokens)
    {
        // Two hidden states; of the original's block the four inputs, and the stream where two branches are added; of the quantized one the input of
        // the group in work. The first group and the last need most. Of a batch, two of the widest differences.
        long hidden = config.HiddenSize, queries = (long)config.Heads * config.HeadDimension, inner = config.IntermediateSize;
        long states = tokens * Math.Max(7 * hidden + queries + inner, 3 * hidden + 2 * inner) * backend.ActivationType.Size();
        states += Math.Min(tokens, backend.BatchTokens) * Math.Max(inner, queries) * (2 * sizeof(float) + backend.ActivationType.Size());
        long weights = BlockLinears.All.Select(l => l.Shape(config)).Sum(shape => (long)shape.Outputs * shape.Inputs) * backend.ActivationType.Size();
        return weights + states + Math.Max(InputDrift.Bytes(inner, hidden), InputDrift.Bytes(Math.Max(hidden, queries), hidden));
    }

    /// <summary>Multiplications and additions for each token, over all blocks.</summary>
    public static double OperationsPerToken(ModelConfig config)
    {
        double hidden = config.HiddenSize, products = 0;
        for (int group = 0; group < BlockLinears.Groups.Count; group++)
        {
            double inputs = BlockLinears.Groups[group][0].Shape(config).Inputs;
            products += inputs * (3 * inputs + (AddsToStream(group) ? 2 * hidden : 0));
        }
        return config.Layers * (2 * FisherWork.Forward(config) + products);
    }

    /// <summary>Runs the tokens through a block as the original has it, and keeps what its linears see.</summary>
    public void Enter(int layer, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        _lease = _model.Open(layer);
        for (int i = 0; i < _batches.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Tensor? input = Block.Begin(_original[i]);
            for (int group = 0; input is not null; group++)
            {
                _seen[group, i] = new Seen(Copy(input), AddsToStream(group) ? Copy(_original[i]) : null);
                input = Block.Advance(group, _batches[i].Batch, input, _original[i]);
            }
            _inputs[i] = Copy(Block.Begin(_moved[i]));
        }
    }

    /// <summary>How far the inputs of a group have moved.</summary>
    /// <param name="group">Number of the group; those before it must be replaced and passed.</param>
    /// <param name="cancellationToken">Checked for every batch.</param>
    public InputDrift Measure(int group, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        var drift = new InputDrift(
            _backend, Block.Linears[(int)BlockLinears.Groups[group][0]].Inputs, AddsToStream(group) ? _model.Config.HiddenSize : 0, _batches.Sum(b => (long)b.Batch.Tokens));
        try
        {
            for (int i = 0; i < _batches.Count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Seen seen = _seen[group, i]!;
                drift.Add(seen.Input, _inputs[i]!, seen.Stream, _moved[i]);
            }
            return drift;
        }
        catch
        {
            drift.Dispose();
            throw;
        }
    }

    /// <summary>Overwrites a matrix of the block by what its codes stand for.</summary>
    public void Replace(BlockLinear linear, QuantizedWeights weights)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        using Tensor dense = _backend.Allocate(DType.F32, weights.Rows, weights.Columns);
        weights.Dequantize(_backend, dense);
        _backend.Convert(dense, ((DenseLinear)Block.Linears[(int)linear]).Weight);
    }

    /// <summary>Takes the tokens through a group that was replaced, up to the input of the next.</summary>
    public void Advance(int group, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        for (int i = 0; i < _batches.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Forget(ref _seen[group, i]);
            Tensor? next = Block.Advance(group, _batches[i].Batch, _inputs[i]!, _moved[i]);
            Forget(ref _inputs[i]);
            _inputs[i] = next is null ? null : Copy(next);
        }
    }

    /// <summary>Gives the block back.</summary>
    public void Leave()
    {
        _lease?.Dispose();
        _lease = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Leave();
        foreach (IDisposable? state in _original.Concat(_moved).Concat<IDisposable?>(_inputs).Concat(_seen.Cast<Seen?>()))
            state?.Dispose();      // null where an allocation failed half-way, or a group is passed
        MicroBatch.Release(_batches);
    }

    private static bool AddsToStream(int group) => BlockLinears.Groups[group][0] is BlockLinear.Output or BlockLinear.Down;

    private static void Forget<T>(ref T? state)
        where T : class, IDisposable
    {
        state?.Dispose();
        state = null;
    }

    private Tensor Copy(Tensor x)
    {
        Tensor copy = _backend.Allocate(x.Type, x.Rows, x.Columns);
        _backend.Convert(x, copy);
        return copy;
    }

    // Input of a group of linears in the original, and the residual stream there where they add to it.
    private sealed record Seen(Tensor Input, Tensor? Stream) : IDisposable
    {
        public void Dispose()
        {
            Input.Dispose();
            Stream?.Dispose();
        }
    }
}
