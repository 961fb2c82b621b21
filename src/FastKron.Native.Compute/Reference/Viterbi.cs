namespace FastKron.Native.Compute.Reference;

/// <summary>Scalar definition of the tail-biting trellis encoder; every backend gives the same states, bit for bit.</summary>
/// <remarks>
/// Two passes. The first runs unconstrained over the weights around the seam (the end of the tile, then its beginning) and fixes the L − K·V
/// bits that the last and the first state share; the second runs over the whole tile with both ends held to those bits.
/// Source: QTIP, Tseng et al., arXiv:2406.11235, section 3.2.
/// </remarks>
public static class Viterbi
{
    /// <summary>Largest magnitude of a target, 2⁵⁹: the squared error of 256 such weights stays finite in float32.</summary>
    public const float LargestTarget = 576460752303423488f;

    /// <summary>Encodes one tile.</summary>
    /// <param name="codebook">Code and rate.</param>
    /// <param name="window">Weights on each side of the seam seen by the first pass.</param>
    /// <param name="targets">256 weights in sequence order.</param>
    /// <param name="states">256/V states, out.</param>
    /// <exception cref="ArithmeticException">A target is NaN or above <see cref="LargestTarget"/>.</exception>
    public static void Encode(TrellisCodebook codebook, TailBitingWindow window, ReadOnlySpan<float> targets, Span<ushort> states)
    {
        CheckTargets(targets, tile: 0);
        Encode(TrellisCodebook.StateBits, codebook.StepBits, codebook.Vector, codebook.Values.Span, window.Steps(codebook), targets, states);
    }

    /// <summary>The same for any trellis: L state bits, K·V fresh bits a step, codewords of V numbers.</summary>
    /// <param name="stateBits">L, at most 16.</param>
    /// <param name="stepBits">K·V, below L.</param>
    /// <param name="vector">V.</param>
    /// <param name="values">(2^L, V) codewords.</param>
    /// <param name="windowSteps">Steps on each side of the seam in the first pass; at most half of all steps.</param>
    /// <param name="targets">V weights for each step.</param>
    /// <param name="states">One for each step, out.</param>
    public static void Encode(
        int stateBits, int stepBits, int vector, ReadOnlySpan<float> values, int windowSteps, ReadOnlySpan<float> targets, Span<ushort> states)
    {
        int steps = states.Length;
        int seam = windowSteps * vector;
        float[] around = [.. targets[^seam..], .. targets[..seam]];
        ushort[] path = new ushort[2 * windowSteps];
        Run(stateBits, stepBits, vector, values, around, overlap: null, path);
        Run(stateBits, stepBits, vector, values, targets, overlap: path[windowSteps] >> stepBits, states[..steps]);
    }

    /// <summary>Throws if a target is NaN or too large to be squared and summed.</summary>
    /// <exception cref="ArithmeticException">Names the tile, the weight and its value.</exception>
    public static void CheckTargets(ReadOnlySpan<float> targets, int tile)
    {
        for (int i = 0; i < targets.Length; i++)
        {
            if (!(MathF.Abs(targets[i]) <= LargestTarget))
                throw BadTarget(tile, i, targets[i]);
        }
    }

    internal static ArithmeticException BadTarget(int tile, int weight, float target) => new(
        $"tile {tile}, weight {weight}: target {target:R}; expected a number of magnitude at most 2^59. The factors or the scale of this matrix diverged");

    // One Viterbi pass. With an overlap, the upper bits of the first state and the lower bits of the last one are held to it.
    private static void Run(
        int stateBits, int stepBits, int vector, ReadOnlySpan<float> values, ReadOnlySpan<float> targets, int? overlap, Span<ushort> path)
    {
        int states = 1 << stateBits, groups = 1 << (stateBits - stepBits), branches = 1 << stepBits;
        float[] cost = new float[states], minimum = new float[groups];
        byte[][] branch = new byte[path.Length][];   // branch[t][g]: d of the cheapest state g + d·groups of step t
        for (int g = 0; g < groups; g++)
            minimum[g] = overlap is null || g == overlap ? 0 : float.PositiveInfinity;

        for (int t = 0; t < path.Length; t++)
        {
            for (int s = 0; s < states; s++)
            {
                float sum = minimum[s >> stepBits];
                for (int v = 0; v < vector; v++)
                {
                    float difference = targets[t * vector + v] - values[s * vector + v];
                    sum = MathF.FusedMultiplyAdd(difference, difference, sum);
                }
                cost[s] = sum;
            }
            branch[t] = new byte[groups];
            for (int g = 0; g < groups; g++)
            {
                minimum[g] = cost[g];
                for (int d = 1; d < branches; d++)
                {
                    if (cost[g + d * groups] < minimum[g])
                        (minimum[g], branch[t][g]) = (cost[g + d * groups], (byte)d);
                }
            }
        }

        int last = 0;
        if (overlap is int group)
        {
            last = group + branch[^1][group] * groups;
        }
        else
        {
            for (int s = 1; s < states; s++)
            {
                if (cost[s] < cost[last])
                    last = s;
            }
        }
        path[^1] = (ushort)last;
        for (int t = path.Length - 2; t >= 0; t--)
        {
            int g = path[t + 1] >> stepBits;
            path[t] = (ushort)(g + branch[t][g] * groups);
        }
    }
}
