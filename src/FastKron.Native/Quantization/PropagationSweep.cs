using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;

namespace FastKron.Native.Quantization;

/// <summary>Calibration tokens in a model and in the same model with quantized matrices, taken through both side by side, one group of linears at a time.</summary>
/// <remarks>
/// In every block: <see cref="Enter"/>; then for each of <see cref="BlockLinears.Groups"/>, in order, <see cref="Measure"/> where its drift is wanted and
/// <see cref="Pass"/>. Per token that costs two forward passes and the products of <see cref="InputDrift"/>.
/// </remarks>
internal sealed class PropagationSweep : IDisposable
{
    private readonly IBackend _backend;
    private readonly DecoderModel _model;
    private readonly StageClock<RoundingPhase> _clock;
    private readonly List<MicroBatch> _batches;
    private readonly TokenState[] _original, _moved;       // by batch
    private BlockLease? _lease;

    /// <summary>Embeds the tokens.</summary>
    /// <param name="model">The original, dense, with no blocks that stay on the backend: the matrices of the block in work are overwritten.</param>
    /// <param name="sequences">Calibration sequences.</param>
    /// <param name="clock">Counts the time.</param>
    public PropagationSweep(DecoderModel model, IReadOnlyList<int[]> sequences, StageClock<RoundingPhase> clock)
    {
        (_backend, _model, _clock) = (model.Backend, model, clock);
        _batches = MicroBatch.Cut(model, [sequences], _backend.BatchTokens);
        (_original, _moved) = (new TokenState[_batches.Count], new TokenState[_batches.Count]);
        try
        {
            for (int i = 0; i < _batches.Count; i++)
            {
                int tokens = _batches[i].Batch.Tokens;
                _original[i] = new TokenState(_backend.Allocate(_backend.ActivationType, tokens, model.Config.HiddenSize));
                _moved[i] = new TokenState(_backend.Allocate(_backend.ActivationType, tokens, model.Config.HiddenSize));
                model.Embed(_batches[i].Batch, _original[i].Hidden);
                _backend.Convert(_original[i].Hidden, _moved[i].Hidden);
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
        // Twice the residual stream and the input of a group; of a batch, two of the widest differences and what is made of them.
        long hidden = config.HiddenSize, inner = config.IntermediateSize, widest = Math.Max(Math.Max(hidden, inner), (long)config.Heads * config.HeadDimension);
        long states = 2 * tokens * (hidden + widest) * backend.ActivationType.Size();
        states += Math.Min(tokens, backend.BatchTokens) * widest * (2 * sizeof(float) + backend.ActivationType.Size());
        long weights = BlockLinears.All.Select(l => l.Shape(config)).Sum(shape => (long)shape.Outputs * shape.Inputs) * backend.ActivationType.Size();
        return weights + states + InputDrift.Bytes(widest, hidden);
    }

    /// <summary>Multiplications and additions for each token, over all blocks.</summary>
    public static double OperationsPerToken(ModelConfig config)
    {
        double hidden = config.HiddenSize, products = 0;
        foreach (IReadOnlyList<BlockLinear> group in BlockLinears.Groups)
        {
            double inputs = group[0].Shape(config).Inputs;
            products += inputs * (3 * inputs + (AddsToStream(group) ? 2 * hidden : 0));
        }
        return config.Layers * (2 * FisherWork.Forward(config) + products);
    }

    /// <summary>Loads a block, as the original has it, up to the input of its first group.</summary>
    public void Enter(int layer, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        _lease?.Dispose();
        _lease = null;
        _lease = _model.Open(layer);
        foreach (TokenState state in _original.Concat(_moved))
        {
            cancellationToken.ThrowIfCancellationRequested();
            state.Keep(_backend, Block.Begin(state.Hidden));
        }
    }

    /// <summary>How far the inputs of a group have moved; the groups before it must be passed.</summary>
    /// <param name="group">Index in <see cref="BlockLinears.Groups"/>.</param>
    /// <param name="cancellationToken">Checked for every batch.</param>
    public InputDrift Measure(int group, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        IReadOnlyList<BlockLinear> linears = BlockLinears.Groups[group];
        int width = AddsToStream(linears) ? _model.Config.HiddenSize : 0;
        var drift = new InputDrift(_backend, Block.Linears[(int)linears[0]].Inputs, width, _batches.Sum(b => (long)b.Batch.Tokens));
        try
        {
            foreach ((TokenState original, TokenState moved) in _original.Zip(_moved))
            {
                cancellationToken.ThrowIfCancellationRequested();
                drift.Add(original.Input, moved.Input, width > 0 ? original.Hidden : null, moved.Hidden);
            }
            return drift;
        }
        catch
        {
            drift.Dispose();
            throw;
        }
    }

    /// <summary>Takes the tokens through a group: the original's through its matrices, then the others through what replaces them.</summary>
    /// <param name="group">Index in <see cref="BlockLinears.Groups"/>.</param>
    /// <param name="replaced">What is quantized of the group.</param>
    /// <param name="cancellationToken">Checked for every batch.</param>
    public void Pass(int group, IEnumerable<(BlockLinear Linear, QuantizedWeights Weights)> replaced, CancellationToken cancellationToken)
    {
        using StageClock<RoundingPhase>.Scope timed = _clock.Enter(RoundingPhase.Propagation);
        Advance(group, _original, cancellationToken);
        foreach ((BlockLinear linear, QuantizedWeights weights) in replaced)
        {
            using Tensor dense = _backend.Allocate(DType.F32, weights.Rows, weights.Columns);
            weights.Dequantize(_backend, dense);
            _backend.Convert(dense, ((DenseLinear)Block.Linears[(int)linear]).Weight);
        }
        Advance(group, _moved, cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _lease?.Dispose();
        foreach (TokenState? state in _original.Concat(_moved))
            state?.Dispose();      // null where an allocation failed half-way
        MicroBatch.Release(_batches);
    }

    private static bool AddsToStream(IReadOnlyList<BlockLinear> group) => group[0] is BlockLinear.Output or BlockLinear.Down;

    private void Advance(int group, TokenState[] states, CancellationToken cancellationToken)
    {
        for (int i = 0; i < states.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Block.Advance(group, _batches[i].Batch, states[i].Input, states[i].Hidden) is { } next)
                states[i].Keep(_backend, next);
        }
    }

    /// <summary>Some tokens within a block: the residual stream, and the input of the group of linears that comes next.</summary>
    private sealed class TokenState(Tensor hidden) : IDisposable
    {
        private Tensor? _input;

        public Tensor Hidden => hidden;

        public Tensor Input => _input!;

        /// <summary>Copies the input of the next group out of scratch memory.</summary>
        public void Keep(IBackend backend, Tensor input)
        {
            _input?.Dispose();
            _input = null;
            _input = backend.Allocate(input.Type, input.Rows, input.Columns);
            backend.Convert(input, _input);
        }

        public void Dispose()
        {
            hidden.Dispose();
            _input?.Dispose();
        }
    }
}
