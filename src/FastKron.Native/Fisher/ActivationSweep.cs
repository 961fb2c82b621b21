using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;

namespace FastKron.Native.Fisher;

/// <summary>Second moments of the linears' inputs, X ᵀX/T, in one forward sweep block by block: the factor that LDLQ uses.</summary>
/// <remarks>q, k, v share their input, and so do gate and up: one Gram matrix each. Source: GPTQ, arXiv:2210.17323, and QuIP,
/// arXiv:2307.13304.</remarks>
internal sealed class ActivationSweep(DecoderModel model, FisherOptions options)
{
    private readonly IBackend _backend = model.Backend;

    /// <summary>Runs the sweep.</summary>
    /// <param name="minibatches">Groups of sequences; the grouping does not matter here.</param>
    /// <param name="isWanted">Whether a linear, by module path, needs its factor.</param>
    /// <param name="accept">Called with each wanted linear's second moment (n, n) F32 on the device, not normalised, from the first block
    /// to the last; freed after the call.</param>
    /// <param name="progress">Reports after each piece of work.</param>
    /// <param name="cancellationToken">Checked before each piece of work.</param>
    /// <returns>Seconds of the device in each stage.</returns>
    /// <exception cref="ArgumentException">No sequence.</exception>
    public IReadOnlyDictionary<CollectionStage, double> Run(
        IReadOnlyList<IReadOnlyList<int[]>> minibatches, Func<string, bool> isWanted, Action<ILinear, Tensor> accept,
        IProgress<FisherProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        CollectionSize size = MicroBatch.SizeOf(minibatches);
        int end = model.Config.Layers;
        while (end > 0 && !BlockLinears.All.Any(linear => isWanted(linear.ModulePath(end - 1))))
            end--;

        var meter = new ProgressMeter(progress, model.Config.Layers, end * size.Tokens * FisherWork.Forward(model.Config));
        FisherPlan plan = FisherPlan.Create(model.Config, options, size, _backend, model);
        List<MicroBatch> batches = MicroBatch.Cut(model, minibatches, options.MicroBatchTokens ?? _backend.BatchTokens);
        try
        {
            using var clock = new StageClock<CollectionStage>(_backend);
            using var store = new HiddenStore(_backend, batches, model.Config.HiddenSize, plan, clock);
            var pass = new SweepPass(model, batches, size.Tokens, store, clock, meter, cancellationToken);
            HiddenState state = pass.Embed();
            for (int layer = 0; layer < end; layer++)
                SweepBlock(pass, layer, state, isWanted, accept);
            return clock.Read();
        }
        finally
        {
            MicroBatch.Release(batches);
        }
    }

    private void SweepBlock(SweepPass pass, int layer, HiddenState state, Func<string, bool> isWanted, Action<ILinear, Tensor> accept)
    {
        using BlockLease lease = pass.Open(layer);
        DecoderBlock block = lease.Block;
        ILinear[] wanted = [.. block.Linears.Where(l => isWanted(l.Name))];
        var grams = new Dictionary<ILinear, Tensor>();   // by the first linear of the group
        try
        {
            foreach (ILinear first in wanted.Select(l => FirstOfGroup(block, l)).Distinct())
            {
                Tensor gram = _backend.Allocate(DType.F32, first.Inputs, first.Inputs);
                grams.Add(first, gram);
                _backend.Fill(gram, 0);
            }
            for (int i = 0; i < pass.Batches.Count; i++)
            {
                pass.CancellationToken.ThrowIfCancellationRequested();
                pass.Store.Prefetch(state, i + 1);
                HiddenView view = pass.Store.Read(state, i);
                PackedBatch batch = pass.Batches[i].Batch;
                using (pass.Clock.Enter(CollectionStage.Forward))
                {
                    block.Forward(batch, view.Tensor, observeInput: (linear, x) =>
                    {
                        if (grams.TryGetValue(linear, out Tensor? gram))
                        {
                            using (pass.Clock.Enter(CollectionStage.Stack))
                                _backend.SymmetricRankK(x, transposeA: true, gram, 1.0 / pass.Tokens, 1);
                        }
                    });
                }
                pass.Store.Write(view, state, i);
                pass.Meter.Add(batch.Tokens * FisherWork.Forward(model.Config), layer);
            }
            foreach (ILinear linear in wanted)
            {
                accept(linear, grams[FirstOfGroup(block, linear)]);
                pass.Meter.Add(0, layer, linear.Name);
            }
        }
        finally
        {
            foreach (Tensor gram in grams.Values)
                gram.Dispose();
        }
    }

    private static ILinear FirstOfGroup(DecoderBlock block, ILinear linear)
    {
        BlockLinear kind = BlockLinears.All.First(k => block.Linears[(int)k] == linear);
        return block.Linears[(int)BlockLinears.Groups.First(group => group.Contains(kind))[0]];
    }
}
