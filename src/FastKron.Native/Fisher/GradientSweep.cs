using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;

namespace FastKron.Native.Fisher;

/// <summary>The reverse block sweep: all calibration tokens forward once, then block by block from the last, each block's gradients
/// stacked, handed out and freed.</summary>
/// <remarks>
/// Weights are never changed. On the device lives one block's stack; inputs of blocks and one gradient of the hidden states live where
/// <see cref="FisherPlan"/> puts them. The loss of a minibatch is the mean over its tokens (labels).
/// </remarks>
internal sealed class GradientSweep(DecoderModel model, FisherOptions options)
{
    private readonly IBackend _backend = model.Backend;

    /// <summary>Runs the sweep.</summary>
    /// <param name="minibatches">K groups of sequences, one gradient each.</param>
    /// <param name="isWanted">Whether a linear, by module path, needs its gradients.</param>
    /// <param name="accept">Called with the complete stacks of wanted linears, from the last block to the first: of small linears of a block together, of a
    /// large one alone. They are freed after the call.</param>
    /// <param name="progress">Reports after each piece of work.</param>
    /// <param name="cancellationToken">Checked before each piece of work.</param>
    /// <returns>Seconds of the device in each stage.</returns>
    /// <exception cref="ArgumentException">No minibatch, an empty one, or none of its tokens has a true label.</exception>
    /// <exception cref="InsufficientMemoryException">An allocation failed: bytes, cure.</exception>
    /// <exception cref="ArithmeticException">The model's logits hold NaN.</exception>
    public IReadOnlyDictionary<CollectionStage, double> Run(
        IReadOnlyList<IReadOnlyList<int[]>> minibatches, Func<string, bool> isWanted, Action<IReadOnlyList<IKrausStream>> accept,
        IProgress<FisherProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        CollectionSize size = MicroBatch.SizeOf(minibatches);
        int layers = model.Config.Layers, lowest = 0;
        while (lowest < layers && Wanted(BlockLinears.All, lowest, isWanted).Length == 0)
            lowest++;
        using var clock = new StageClock<CollectionStage>(_backend);
        if (lowest == layers)
            return clock.Read();

        FisherPlan plan = FisherPlan.Create(
            model.Config, options with { Gradients = minibatches.Count }, size with { LowestBlock = lowest }, _backend, model);
        var schedule = new InputSchedule(layers, lowest, plan.ResidentStates + plan.HostStates - 1);
        var meter = new ProgressMeter(progress, layers, Work(size.Tokens, minibatches.Count, lowest, schedule, isWanted));
        List<MicroBatch> batches = MicroBatch.Cut(model, minibatches, options.MicroBatchTokens ?? _backend.BatchTokens);
        try
        {
            using var store = new HiddenStore(_backend, batches, model.Config.HiddenSize, plan, clock);
            var pass = new SweepPass(model, batches, size.Tokens, store, clock, meter, cancellationToken);
            var inputs = new HiddenState?[layers];
            HiddenState gradient = ForwardAll(pass, schedule, inputs);
            TopGradient(pass, gradient);
            for (int layer = layers - 1; layer >= lowest; layer--)
            {
                if (inputs[layer] is null)
                    Recompute(pass, schedule.StartOfGap(layer), layer, inputs);
                SweepBlock(pass, layer, plan.Groups, inputs[layer]!, gradient, minibatches.Count, isWanted, accept);
                store.Return(inputs[layer]!);
                inputs[layer] = null;
            }
            return clock.Read();
        }
        finally
        {
            MicroBatch.Release(batches);
        }
    }

    private double Work(long tokens, int gradients, int lowest, InputSchedule schedule, Func<string, bool> isWanted)
    {
        int layers = model.Config.Layers;
        double forward = (layers + schedule.Recomputed) * FisherWork.Forward(model.Config), backward = (layers - lowest) * FisherWork.Backward(model.Config);
        IEnumerable<(int Outputs, int Inputs)> wanted =
            Enumerable.Range(0, layers).SelectMany(layer => Wanted(BlockLinears.All, layer, isWanted)).Select(linear => linear.Shape(model.Config));
        return tokens * (forward + FisherWork.Head(model.Config) + backward)
            + wanted.Sum(shape => FisherWork.Solver(options, gradients, tokens, shape.Outputs, shape.Inputs));
    }

    private static BlockLinear[] Wanted(IReadOnlyList<BlockLinear> linears, int layer, Func<string, bool> isWanted) =>
        [.. linears.Where(linear => isWanted(linear.ModulePath(layer)))];

    // Leaves the inputs that the schedule keeps, and returns the last block's output.
    private HiddenState ForwardAll(SweepPass pass, InputSchedule schedule, HiddenState?[] inputs)
    {
        HiddenState state = pass.Embed();
        for (int layer = 0; layer < model.Config.Layers; layer++)
        {
            HiddenState next = state;
            if (schedule.Keeps(layer))
                (inputs[layer], next) = (state, pass.Store.Rent());
            Forward(pass, layer, state, next, CollectionStage.Forward);
            state = next;
        }
        return state;
    }

    // The inputs of some blocks once more, from the kept input below the first, or from the embedding.
    private void Recompute(SweepPass pass, int first, int last, HiddenState?[] inputs)
    {
        if (first == 0)
            inputs[first++] = pass.Embed();
        for (int layer = first; layer <= last; layer++)
        {
            inputs[layer] = pass.Store.Rent();
            Forward(pass, layer - 1, inputs[layer - 1]!, inputs[layer]!, CollectionStage.Recomputation);
        }
    }

    // to ← block(from); the same state twice: in place.
    private void Forward(SweepPass pass, int layer, HiddenState from, HiddenState to, CollectionStage stage)
    {
        using BlockLease lease = pass.Open(layer);
        for (int i = 0; i < pass.Batches.Count; i++)
        {
            pass.CancellationToken.ThrowIfCancellationRequested();
            pass.Store.Prefetch(from, i + 1);
            HiddenView input = pass.Store.Read(from, i), output = input;
            if (from != to)
            {
                output = pass.Store.Target(to, i);
                using (pass.Clock.Enter(CollectionStage.Copies))
                    _backend.Convert(input.Tensor, output.Tensor);
                pass.Store.Release(input);
            }
            using (pass.Clock.Enter(stage))
                lease.Block.Forward(pass.Batches[i].Batch, output.Tensor);
            pass.Store.Write(output, to, i);
            pass.Meter.Add(pass.Batches[i].Batch.Tokens * FisherWork.Forward(model.Config), stage == CollectionStage.Forward ? -1 : layer);
        }
    }

    // state: the last block's output in, the gradient of the loss with respect to it out.
    private void TopGradient(SweepPass pass, HiddenState state)
    {
        bool sampled = options.Labels == LabelSource.Sampled;
        using Tensor labels = _backend.Allocate(DType.I32, 1, checked((int)(sampled ? pass.Tokens : 0)));
        for (int i = 0; i < pass.Batches.Count; i++)
        {
            pass.CancellationToken.ThrowIfCancellationRequested();
            MicroBatch batch = pass.Batches[i];
            pass.Store.Prefetch(state, i + 1);
            HiddenView hidden = pass.Store.Read(state, i), gradient = pass.Store.Borrow(i);
            using (pass.Clock.Enter(CollectionStage.Head))
            {
                if (sampled)
                {
                    LossGradient.FromSampledLabels(
                        model, hidden.Tensor, options.Seed, batch.FirstToken, labels.SliceColumns((int)batch.FirstToken, batch.Batch.Tokens),
                        1f / batch.MinibatchTokens, gradient.Tensor);
                }
                else
                {
                    if (batch.MinibatchLabels == 0)
                        throw new ArgumentException("a minibatch has no token with a successor: true labels need sequences of at least two tokens");
                    LossGradient.FromLabels(model, hidden.Tensor, batch.Batch.NextTokens, 1f / batch.MinibatchLabels, gradient.Tensor);
                }
            }
            pass.Store.Release(hidden);
            pass.Store.Write(gradient, state, i);
            pass.Meter.Add(batch.Batch.Tokens * FisherWork.Head(model.Config), -1);
        }
        if (sampled)
        {
            int[] drawn = new int[labels.Columns];
            _backend.Download<int>(labels, drawn);
            LossGradient.RequireDrawn(drawn);
        }
    }

    // Once for each group of linears; the last time the gradient moves on to the block below.
    private void SweepBlock(
        SweepPass pass, int layer, IReadOnlyList<IReadOnlyList<BlockLinear>> groups, HiddenState inputs, HiddenState gradients, int gradientCount,
        Func<string, bool> isWanted, Action<IReadOnlyList<IKrausStream>> accept)
    {
        using BlockLease lease = pass.Open(layer);
        DecoderBlock block = lease.Block;
        ILinear[][] wanted = [.. groups.Select(g => Wanted(g, layer, isWanted).Select(kind => block.Linears[(int)kind]).ToArray()).Where(g => g.Length > 0)];
        for (int group = 0; group < Math.Max(1, wanted.Length); group++)
        {
            bool last = group >= wanted.Length - 1;
            using var stores = new BlockStores(wanted.ElementAtOrDefault(group) ?? [], linear => CreateStore(linear, gradientCount, pass.Tokens), pass.Clock);
            for (int i = 0; i < pass.Batches.Count; i++)
                Backward(pass, block, i, inputs, gradients, stores, last);
            foreach (IGrouping<string, IKrausStore> together in stores.All.GroupBy(s => Math.Max(s.Outputs, s.Inputs) <= LikelihoodSolver.LargestTogether ? "" : s.Name))
            {
                pass.CancellationToken.ThrowIfCancellationRequested();
                using (pass.Clock.Enter(CollectionStage.Solve))
                {
                    if (options.Centering == GradientCentering.Mean)
                    {
                        foreach (GradientStack stack in together.OfType<GradientStack>())
                            stack.Center();
                    }
                    accept([.. together]);
                }
                foreach (IKrausStore store in together)
                {
                    pass.Meter.Add(FisherWork.Solver(options, gradientCount, pass.Tokens, store.Outputs, store.Inputs), layer, store.Name);
                    store.Dispose();
                }
            }
        }
    }

    private void Backward(SweepPass pass, DecoderBlock block, int batch, HiddenState inputs, HiddenState gradients, BlockStores stores, bool last)
    {
        pass.CancellationToken.ThrowIfCancellationRequested();
        HiddenStore store = pass.Store;
        store.Prefetch(inputs, batch + 1);
        store.Prefetch(gradients, batch + 1);
        HiddenView input = store.Read(inputs, batch), gradient = store.Read(gradients, batch);
        if (!last && gradient.Buffer is null)
        {
            HiddenView copy = store.Borrow(batch);
            using (pass.Clock.Enter(CollectionStage.Copies))
                _backend.Convert(gradient.Tensor, copy.Tensor);
            gradient = copy;
        }
        stores.Batch = pass.Batches[batch];
        using (pass.Clock.Enter(CollectionStage.Backward))
            block.Backward(pass.Batches[batch].Batch, input.Tensor, gradient.Tensor, stores);
        if (last)
            store.Write(gradient, gradients, batch);
        else
            store.Release(gradient);
        store.Release(input);
        if (last)
            pass.Meter.Add(pass.Batches[batch].Batch.Tokens * FisherWork.Backward(model.Config), block.Index);
    }

    private IKrausStore CreateStore(ILinear linear, int gradients, long tokens)
    {
        (int m, int n) = (linear.Outputs, linear.Inputs);
        return options.Source switch
        {
            FactorSource.FastKron => new GradientStack(_backend, linear.Name, m, n, gradients, options.GradientType),
            FactorSource.PerSequence or FactorSource.SketchB => new SequenceStream(_backend, linear.Name, options.Source, m, n, tokens, options.GradientType),
            _ => new TokenStream(_backend, linear.Name, options.Source, m, n, tokens),
        };
    }

    // Fills the stores of some linears of one block.
    private sealed class BlockStores : ILinearObserver, IDisposable
    {
        private readonly Dictionary<string, IKrausStore> _stores = [];
        private readonly StageClock<CollectionStage> _clock;

        public BlockStores(IEnumerable<ILinear> linears, Func<ILinear, IKrausStore> create, StageClock<CollectionStage> clock)
        {
            _clock = clock;
            try
            {
                foreach (ILinear linear in linears)
                    _stores.Add(linear.Name, create(linear));
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        /// <summary>The micro-batch that is observed next.</summary>
        public MicroBatch? Batch { get; set; }

        /// <summary>In the order of the block's linears.</summary>
        public IEnumerable<IKrausStore> All => _stores.Values;

        public void Observe(ILinear linear, Tensor x, Tensor d)
        {
            if (!_stores.TryGetValue(linear.Name, out IKrausStore? store))
                return;
            using (_clock.Enter(CollectionStage.Stack))
                store.Append(Batch!, x, d);
        }

        public void Dispose()
        {
            foreach (IKrausStore store in _stores.Values)
                store.Dispose();
        }
    }
}
