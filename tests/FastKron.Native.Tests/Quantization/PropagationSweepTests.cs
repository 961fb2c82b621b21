using System.Runtime.InteropServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class PropagationSweepTests
{
    private static readonly int[][] Sequences = [RandomModel.Ids(9, 40, item: 1), RandomModel.Ids(1, 40, item: 2), RandomModel.Ids(14, 40, item: 3)];

    // All matrices of every block are replaced but those of its keys, which stay the original's.
    [Test]
    public void Measure_GroupByGroup_FindsTheDriftOfWholeForwardPasses([Values] ModelFamily family)
    {
        ModelConfig config = RandomModel.Config(family) with { HiddenSize = 64, IntermediateSize = 96, Heads = 4, KeyHeads = 2, HeadDimension = 16 };
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel original = RandomModel.Create(backend, config), partly = RandomModel.Create(backend, config), inWork = RandomModel.Create(backend, config);
        using var clock = new StageClock<RoundingPhase>(backend);
        using var sweep = new PropagationSweep(inWork, Sequences, clock);
        using PackedBatch batch = PackedBatch.Create(backend, config, Sequences);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            sweep.Enter(layer, default);
            for (int group = 0; group < BlockLinears.Groups.Count; group++)
            {
                BlockLinear first = BlockLinears.Groups[group][0];
                bool addsToStream = first is BlockLinear.Output or BlockLinear.Down;
                int inputs = first.Shape(config).Inputs;
                using InputDrift found = sweep.Measure(group, default), wanted = new(backend, inputs, addsToStream ? config.HiddenSize : 0, batch.Tokens);
                ((Tensor x, Tensor h), (Tensor moved, Tensor movedStream)) = (Seen(original, batch, layer, first), Seen(partly, batch, layer, first));
                using (x)
                using (h)
                using (moved)
                using (movedStream)
                    wanted.Add(x, moved, addsToStream ? h : null, movedStream);
                Assert.That(Correction(backend, found, inputs, config.HiddenSize), Is.EqualTo(Correction(backend, wanted, inputs, config.HiddenSize)), $"layer {layer}, {first}");

                (BlockLinear, QuantizedWeights)[] replaced =
                    [.. BlockLinears.Groups[group].Where(l => l != BlockLinear.Key).Select(l => (l, RandomModel.Weights(l.Shape(config).Outputs, l.Shape(config).Inputs, bits: 2)))];
                sweep.Pass(group, replaced, default);
                foreach ((BlockLinear linear, QuantizedWeights weights) in replaced)
                    weights.Dequantize(backend, ((DenseLinear)partly.Blocks[layer].Linears[(int)linear]).Weight);
            }
        }
    }

    // What a linear sees in a whole forward pass, and the residual stream at that time.
    private static (Tensor Input, Tensor Stream) Seen(DecoderModel model, PackedBatch batch, int layer, BlockLinear linear)
    {
        IBackend backend = model.Backend;
        using Tensor hidden = backend.Allocate(DType.F32, batch.Tokens, model.Config.HiddenSize);
        model.Embed(batch, hidden);
        (Tensor, Tensor)? seen = null;
        for (int i = 0; i <= layer; i++)
        {
            model.Blocks[i].Forward(batch, hidden, observeInput: (l, x) =>
            {
                if (l == model.Blocks[layer].Linears[(int)linear])
                    seen = (Copy(x), Copy(hidden));
            });
        }
        return seen!.Value;

        Tensor Copy(Tensor x)
        {
            Tensor copy = backend.Allocate(x.Type, x.Rows, x.Columns);
            backend.Convert(x, copy);
            return copy;
        }
    }

    // The same bytes: nothing is summed in another order.
    private static byte[] Correction(IBackend backend, InputDrift drift, int inputs, int outputs)
    {
        using Tensor w = RandomModel.Normal(backend, outputs, inputs, item: 50);
        drift.Correct("some.linear", w, share: 1);
        return MemoryMarshal.AsBytes(w.AsSpan<float>()).ToArray();
    }
}
