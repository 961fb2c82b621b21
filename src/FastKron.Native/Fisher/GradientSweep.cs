using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Fisher;

/// <summary>The reverse block sweep: all calibration tokens forward once, then block by block from the last, each block's gradients
/// stacked, handed out and freed.</summary>
/// <remarks>
/// Weights are never changed. On the device lives one block's stack; on the host live the inputs of blocks (all, or every n-th with
/// recomputation between, as <see cref="FisherPlan"/> decides) and one gradient of the hidden states. The loss of a minibatch is the mean
/// over its tokens (labels).
/// </remarks>
public sealed class GradientSweep(DecoderModel model, FisherOptions options)
{
    private readonly IBackend _backend = model.Backend;

    /// <summary>Runs the sweep.</summary>
    /// <param name="minibatches">K groups of sequences, one gradient each.</param>
    /// <param name="isWanted">Whether a linear, by module path, needs its gradients.</param>
    /// <param name="accept">Called with the complete stack of each wanted linear, from the last block to the first; the stack is freed
    /// after the call.</param>
    /// <param name="progress">Reports after each piece of work.</param>
    /// <param name="cancellationToken">Checked before each piece of work.</param>
    /// <exception cref="ArgumentException">No minibatch, an empty one, or none of its tokens has a true label.</exception>
    /// <exception cref="InsufficientMemoryException">See <see cref="FisherPlan.Create"/>.</exception>
    public void Run(
        IReadOnlyList<IReadOnlyList<int[]>> minibatches, Func<string, bool> isWanted, Action<GradientStack> accept,
        IProgress<FisherProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        if (minibatches.Count == 0 || minibatches.Any(m => m.Count == 0))
            throw new ArgumentException("expected at least one minibatch and in each at least one sequence", nameof(minibatches));
        int lowest = 0;
        while (lowest < model.Blocks.Count && !model.Blocks[lowest].Linears.Any(l => isWanted(l.Name)))
            lowest++;
        if (lowest == model.Blocks.Count)
            return;

        long tokens = minibatches.Sum(m => m.Sum(s => (long)s.Length));
        FisherPlan plan = FisherPlan.Create(model.Config, options with { Gradients = minibatches.Count }, tokens, _backend.ActivationType);
        var meter = new ProgressMeter(progress, model.Config.Layers, Work(tokens, minibatches.Count, lowest, plan.CheckpointInterval, isWanted));
        List<MicroBatch> batches = MicroBatch.Cut(model, minibatches, options.MicroBatchTokens);
        try
        {
            ForwardAll(batches, plan.CheckpointInterval, lowest, meter, cancellationToken);
            for (int layer = model.Blocks.Count - 1; layer >= lowest; layer--)
            {
                RestoreInputs(batches, layer, plan.CheckpointInterval, lowest, meter, cancellationToken);
                SweepBlock(batches, layer, minibatches.Count, isWanted, accept, meter, cancellationToken);
            }
        }
        finally
        {
            MicroBatch.Release(batches);
        }
    }

    private double Work(long tokens, int gradients, int lowest, int interval, Func<string, bool> isWanted)
    {
        int layers = model.Blocks.Count, lastSegment = (layers - 1) / interval * interval;
        double recomputed = 0;
        for (int start = lowest / interval * interval; start < lastSegment; start += interval)
            recomputed += interval - 1;
        double forward = (layers + recomputed) * FisherWork.Forward(model.Config), backward = (layers - lowest) * FisherWork.Backward(model.Config);
        IEnumerable<ILinear> wanted = model.Blocks.SelectMany(b => b.Linears).Where(l => isWanted(l.Name));
        return tokens * (forward + FisherWork.Head(model.Config) + backward)
            + wanted.Sum(l => FisherWork.Solver(options.Solver, gradients, l.Outputs, l.Inputs));
    }

    // Keeps the inputs of every interval-th block and of the last segment, and the loss gradient at the top.
    private void ForwardAll(List<MicroBatch> batches, int interval, int lowest, ProgressMeter meter, CancellationToken cancellationToken)
    {
        int lastSegment = (model.Blocks.Count - 1) / interval * interval, firstKept = lowest / interval * interval;
        foreach (MicroBatch batch in batches)
        {
            using Tensor hidden = _backend.Allocate(_backend.ActivationType, batch.Batch.Tokens, model.Config.HiddenSize);
            model.Embed(batch.Batch, hidden);
            for (int layer = 0; layer < model.Blocks.Count; layer++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (layer >= firstKept && (layer % interval == 0 || layer >= lastSegment))
                    batch.Inputs[layer] = _backend.SaveToHost(hidden);
                model.Blocks[layer].Forward(batch.Batch, hidden);
            }
            cancellationToken.ThrowIfCancellationRequested();
            using Tensor gradient = _backend.Allocate(_backend.ActivationType, batch.Batch.Tokens, model.Config.HiddenSize);
            TopGradient(batch, hidden, gradient);
            batch.State = _backend.SaveToHost(gradient);
            meter.Add(batch.Batch.Tokens * (model.Blocks.Count * FisherWork.Forward(model.Config) + FisherWork.Head(model.Config)), -1);
        }
    }

    private void TopGradient(MicroBatch batch, Tensor hidden, Tensor gradient)
    {
        if (options.Labels == LabelSource.True)
        {
            if (batch.MinibatchLabels == 0)
                throw new ArgumentException("a minibatch has no token with a successor: true labels need sequences of at least two tokens");
            LossGradient.FromLabels(model, hidden, batch.Batch.NextTokens, 1f / batch.MinibatchLabels, gradient);
            return;
        }
        using Tensor labels = _backend.Allocate(DType.I32, 1, batch.Batch.Tokens);
        LossGradient.FromSampledLabels(model, hidden, options.Seed, batch.FirstToken, labels, 1f / batch.MinibatchTokens, gradient);
    }

    // On entering a segment from above: recomputes the inputs that the forward pass did not keep.
    private void RestoreInputs(
        List<MicroBatch> batches, int layer, int interval, int lowest, ProgressMeter meter, CancellationToken cancellationToken)
    {
        int start = layer / interval * interval;
        foreach (MicroBatch batch in batches)
        {
            if (batch.Inputs[layer] is not null)
                continue;
            using Tensor hidden = _backend.Allocate(_backend.ActivationType, batch.Batch.Tokens, model.Config.HiddenSize);
            _backend.Restore(batch.Inputs[start]!, hidden);
            for (int below = start; below < layer; below++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                model.Blocks[below].Forward(batch.Batch, hidden);
                if (below + 1 >= lowest)
                    batch.Inputs[below + 1] = _backend.SaveToHost(hidden);
            }
            meter.Add(batch.Batch.Tokens * (layer - start) * FisherWork.Forward(model.Config), layer);
        }
    }

    private void SweepBlock(
        List<MicroBatch> batches, int layer, int gradients, Func<string, bool> isWanted, Action<GradientStack> accept, ProgressMeter meter,
        CancellationToken cancellationToken)
    {
        DecoderBlock block = model.Blocks[layer];
        using var stacks = new BlockStacks(_backend, block, gradients, options.GradientType, isWanted);
        foreach (MicroBatch batch in batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using Tensor input = _backend.Allocate(_backend.ActivationType, batch.Batch.Tokens, model.Config.HiddenSize);
            using Tensor gradient = _backend.Allocate(_backend.ActivationType, batch.Batch.Tokens, model.Config.HiddenSize);
            _backend.Restore(batch.Inputs[layer]!, input);
            _backend.Restore(batch.State!, gradient);
            stacks.MinibatchEnds = batch.Last;
            block.Backward(batch.Batch, input, gradient, stacks);
            _backend.Save(gradient, batch.State!);
            batch.ReleaseInput(layer);
            meter.Add(batch.Batch.Tokens * FisherWork.Backward(model.Config), layer);
        }
        foreach (GradientStack stack in stacks.All)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (options.Centering == GradientCentering.Mean)
                stack.Center();
            accept(stack);
            meter.Add(FisherWork.Solver(options.Solver, gradients, stack.Outputs, stack.Inputs), layer, stack.Name);
            stack.Dispose();
        }
    }

    // Appends the gradients of one block's wanted linears.
    private sealed class BlockStacks : ILinearObserver, IDisposable
    {
        private readonly Dictionary<string, GradientStack> _stacks = [];

        public BlockStacks(IBackend backend, DecoderBlock block, int gradients, DType type, Func<string, bool> isWanted)
        {
            foreach (ILinear linear in block.Linears.Where(l => isWanted(l.Name)))
                _stacks.Add(linear.Name, new GradientStack(backend, linear.Name, linear.Outputs, linear.Inputs, gradients, type));
        }

        /// <summary>Whether the next observed piece completes its minibatch.</summary>
        public bool MinibatchEnds { get; set; }

        /// <summary>In the order of the block's linears.</summary>
        public IEnumerable<GradientStack> All => _stacks.Values;

        public void Observe(ILinear linear, Tensor x, Tensor d)
        {
            if (_stacks.TryGetValue(linear.Name, out GradientStack? stack))
                stack.Append(x, d, MinibatchEnds);
        }

        public void Dispose()
        {
            foreach (GradientStack stack in _stacks.Values)
                stack.Dispose();
        }
    }
}
