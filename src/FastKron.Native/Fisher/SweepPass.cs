using FastKron.Native.Models;
using FastKron.Native.Reports;

namespace FastKron.Native.Fisher;

/// <summary>What a sweep over a model's blocks works with.</summary>
/// <param name="Model">The model.</param>
/// <param name="Batches">All calibration tokens, in order.</param>
/// <param name="Tokens">How many they are.</param>
/// <param name="Store">Their hidden states.</param>
/// <param name="Clock">Told of every stage.</param>
/// <param name="Meter">Told of finished work.</param>
/// <param name="CancellationToken">Checked before each piece of work.</param>
internal sealed record SweepPass(
    DecoderModel Model, IReadOnlyList<MicroBatch> Batches, long Tokens, HiddenStore Store, StageClock<CollectionStage> Clock, ProgressMeter Meter,
    CancellationToken CancellationToken)
{
    /// <summary>A block; weights that do not stay on the device are copied to it first.</summary>
    public BlockLease Open(int layer)
    {
        using (Clock.Enter(CollectionStage.Copies))
            return Model.Open(layer);
    }

    /// <summary>The input of the first block.</summary>
    public HiddenState Embed()
    {
        HiddenState state = Store.Rent();
        for (int i = 0; i < Batches.Count; i++)
        {
            HiddenView view = Store.Target(state, i);
            Model.Embed(Batches[i].Batch, view.Tensor);
            Store.Write(view, state, i);
        }
        return state;
    }
}
