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
/// In every block: <see cref="Enter"/>, while its matrices are the original's; then for each group of linears with one input <see cref="Measure"/> and
/// <see cref="Replace"/>; then <see cref="Leave"/>. Per token that costs six forward passes and the products of <see cref="InputDrift"/>.
/// </remarks>
internal sealed class PropagationSweep : IDisposable
{
    private readonly IBackend _backend;
    private readonly DecoderModel _model;
    private readonly StageClock<RoundingPhase> _clock;
    private readonly List<MicroBatch> _batches;
    private readonly Tensor[] _original, _moved;                            // hidden states by batch
    private readonly Dictionary<(BlockLinear First, int Batch), Seen> _seen = [];  // what the original's linears of the block saw
    private BlockLease? _lease;

    /// <summary>Embeds the tokens.</summary>
    /// <param name="model">The original, dense, with no blocks that stay on the backend: the matrices of the block in work are overwritten.</param>
    /// <param name="sequences">Calibration sequences.</param>
    /// <param name="clock">Counts the time.</param>
    public PropagationSweep(DecoderModel model, IReadOnlyList<int[]> sequences, StageClock<RoundingPhase> clock)
    {
        (_backend, _model, _clock) = (model.Backend, model, clock);
        _batches = MicroBatch.Cut(model, [sequences], _backend.BatchTokens);
        (_original, _moved) = (new Tensor[_batches.Count], new Tensor[_batches.Count]);
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

    /// <summary>The linears of a block that share an input, in the order in which the block runs them.</summary>
    public static IReadOnlyList<IReadOnlyList<BlockLinear>> Groups { get; } =
        [[BlockLinear.Query, BlockLinear.Key, BlockLinear.Value], [BlockLinear.Output], [BlockLinear.Gate, BlockLinear.Up], [BlockLinear.Down]];

    private DecoderBlock Block => _lease!.Value.Block;

    /// <summary>Most bytes that a sweep over so many tokens holds beside embedding, head and scratch memory.</summary>
    public static long Bytes(ModelConfig config, IBackend backend, long tokens)
    {
        // Two hidden states; of a block the four inputs, and the stream where two branches are added; of a batch, two of the widest differences.
        long hidden = config.HiddenSize, queries = (long)config.Heads * config.HeadDimension, inner = config.IntermediateSize;
        long states = tokens * (6 * hidden + queries + inner) * backend.ActivationType.Size();
        states += Math.Min(tokens, backend.BatchTokens) * Math.Max(inner, queries) * (2 * sizeof(float) + backend.ActivationType.Size());
        long weights = BlockLinears.All.Select(l => l.Shape(config)).Sum(shape => (long)shape.Outputs * shape.Inputs) * backend.ActivationType.Size();
        return weights + states + Math.Max(InputDrift.Bytes(inner, hidden), InputDrift.Bytes(Math.Max(hidden, queries), hidden));
    }

    /// <summary>Multiplications and additions for each token, over all blocks.</summary>
    public static double OperationsPerToken(ModelConfig config)
    {
        double hidden = config.HiddenSize, products = 0;
        foreach (IReadOnlyList<BlockLinear> group in Groups)
        {
            double inputs = group[0].Shape(config).Inputs;
            products += inputs * (3 * inputs + (AddsToStream(group[0]) ? 2 * hidden : 0));
        }
        return config.Layers * (6 * FisherWork.Forward(config) + products);
    }

    /// <summary>Runs the tokens through a block as the original has it, and keeps what its linears see.</summary>
    public void Enter(int layer, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        _lease = _model.Open(layer);
        for (int i = 0; i < _batches.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            (int batch, Tensor hidden) = (i, _original[i]);
            Block.Forward(_batches[i].Batch, hidden, observeInput: (linear, x) =>
            {
                if (FirstOf(linear) is { } first)
                    _seen.Add((first, batch), new Seen(Copy(x), AddsToStream(first) ? Copy(hidden) : null));
            });
        }
    }

    /// <summary>How far the inputs of a group have moved; the matrices before it must be replaced.</summary>
    /// <param name="group">One of <see cref="Groups"/>.</param>
    /// <param name="cancellationToken">Checked for every batch.</param>
    public InputDrift Measure(IReadOnlyList<BlockLinear> group, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        ILinear wanted = Block.Linears[(int)group[0]];
        var drift = new InputDrift(_backend, wanted.Inputs, AddsToStream(group[0]) ? _model.Config.HiddenSize : 0, _batches.Sum(b => (long)b.Batch.Tokens));
        try
        {
            for (int i = 0; i < _batches.Count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Seen seen = _seen[(group[0], i)];
                using Tensor hidden = Copy(_moved[i]);
                Block.Forward(_batches[i].Batch, hidden, observeInput: (linear, x) =>
                {
                    if (linear == wanted)
                        drift.Add(seen.Input, x, seen.Stream, hidden);
                });
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

    /// <summary>Takes the tokens through the replaced block.</summary>
    public void Leave(CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        for (int i = 0; i < _batches.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Block.Forward(_batches[i].Batch, _moved[i]);
        }
        Forget();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        foreach (Tensor? state in _original.Concat(_moved))
            state?.Dispose();      // null where an allocation failed half-way
        MicroBatch.Release(_batches);
    }

    private static bool AddsToStream(BlockLinear linear) => linear is BlockLinear.Output or BlockLinear.Down;

    private BlockLinear? FirstOf(ILinear linear) => Groups.Where(group => Block.Linears[(int)group[0]] == linear).Select(group => (BlockLinear?)group[0]).SingleOrDefault();

    private void Forget()
    {
        foreach (Seen seen in _seen.Values)
        {
            seen.Input.Dispose();
            seen.Stream?.Dispose();
        }
        _seen.Clear();
        _lease?.Dispose();
        _lease = null;
    }

    private Tensor Copy(Tensor x)
    {
        Tensor copy = _backend.Allocate(x.Type, x.Rows, x.Columns);
        _backend.Convert(x, copy);
        return copy;
    }

    // Input of a group of linears in the original, and the residual stream there where they add to it.
    private sealed record Seen(Tensor Input, Tensor? Stream);
}
