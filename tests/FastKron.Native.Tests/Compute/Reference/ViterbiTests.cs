using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Reference;

public sealed class ViterbiTests
{
    // Every path is tried: first all unconstrained ones around the seam, then all rings through the overlap they gave.
    [TestCase(4, 1, 1, 8, 4)]
    [TestCase(6, 1, 1, 8, 2)]
    [TestCase(8, 1, 1, 8, 4)]
    [TestCase(6, 2, 1, 6, 3)]
    [TestCase(8, 2, 1, 5, 2)]
    [TestCase(8, 4, 2, 3, 1)]
    [TestCase(6, 4, 2, 3, 1)]
    public void Encode_SmallTrellis_EqualsExhaustiveSearch(int stateBits, int stepBits, int vector, int steps, int windowSteps)
    {
        for (uint item = 0; item < 8; item++)
        {
            float[] values = Normal(vector << stateBits, 2 * item), targets = Normal(steps * vector, 2 * item + 1);
            ushort[] states = new ushort[steps];
            Viterbi.Encode(stateBits, stepBits, vector, values, windowSteps, targets, states);

            int seam = windowSteps * vector;
            float[] around = [.. targets[^seam..], .. targets[..seam]];
            ushort[] unconstrained = Cheapest(stateBits, stepBits, vector, values, around, 2 * windowSteps, overlap: null);
            int overlap = unconstrained[windowSteps] >> stepBits;
            Assert.That(states, Is.EqualTo(Cheapest(stateBits, stepBits, vector, values, targets, steps, overlap)));
            Assert.That(states[0] >> stepBits, Is.EqualTo(overlap));
        }
    }

    [Test]
    public void Encode_EqualCosts_TakesTheLowestStates()
    {
        ushort[] states = new ushort[8];
        Viterbi.Encode(6, 2, 1, new float[64], 4, new float[8], states);
        Assert.That(states, Is.All.Zero);
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(1e18f)]
    public void Encode_TargetThatCannotBeSquaredAndSummed_Throws(float target)
    {
        float[] targets = new float[TrellisCodebook.TileSize];
        targets[200] = target;
        Assert.That(
            () => Viterbi.Encode(TrellisCodes.Hybrid(2), TailBitingWindow.Full, targets, new ushort[128]),
            Throws.InstanceOf<ArithmeticException>().With.Message.StartsWith("tile 0, weight 200: "));
    }

    // All paths in ascending order of (first state, fresh bits), so that the first of equal ones is kept; costs are summed as the encoder does.
    private static ushort[] Cheapest(
        int stateBits, int stepBits, int vector, float[] values, float[] targets, int steps, int? overlap)
    {
        int mask = (1 << stateBits) - 1, groups = 1 << (stateBits - stepBits);
        ushort[] best = [];
        float least = float.PositiveInfinity;
        for (long path = 0; path < 1L << (stateBits + stepBits * (steps - 1)); path++)
        {
            ushort[] states = new ushort[steps];
            for (int t = 0; t < steps; t++)
                states[t] = (ushort)((path >> (stepBits * (steps - 1 - t))) & mask);
            if (overlap is int o && (states[0] >> stepBits != o || (states[^1] & (groups - 1)) != o))
                continue;
            float cost = 0;
            for (int i = 0; i < steps * vector; i++)
            {
                float difference = targets[i] - values[states[i / vector] * vector + i % vector];
                cost = MathF.FusedMultiplyAdd(difference, difference, cost);
            }
            if (cost < least)
                (best, least) = (states, cost);
        }
        return best;
    }

    private static float[] Normal(int count, uint item)
    {
        float[] values = new float[count];
        Philox.Normal(seed: 3, RandomPurpose.Test, item, values);
        return values;
    }
}
