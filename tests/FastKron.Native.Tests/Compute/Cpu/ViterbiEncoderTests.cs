using System.Runtime.Intrinsics;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class ViterbiEncoderTests
{
    private static IEnumerable<TrellisCodebook> Codes =>
    [
        TrellisCodes.Hybrid(2), TrellisCodes.Hybrid(3), TrellisCodes.Hybrid(4),
        TrellisCodes.OneMad(1), TrellisCodes.ThreeInstructions(2), TrellisCodes.MultiplicativeCongruence(3), TrellisCodes.MultipliedSums(4), TrellisCodes.OneMad(8),
    ];

    private static IEnumerable<string> Kinds => ["normal", "zeros", "ties", "tiny", "huge", "mixed"];

    // States must be equal, not near: the step's arithmetic is fixed to the last bit, and so are ties.
    [Test]
    public void Encode_EveryWidth_GivesTheStatesOfReference([ValueSource(nameof(Codes))] TrellisCodebook codebook, [ValueSource(nameof(Kinds))] string kind)
    {
        int window = kind == "normal" ? 64 : 128;
        float[] targets = Targets(kind, codebook);
        ushort[] expected = new ushort[codebook.Steps], actual = new ushort[codebook.Steps];
        Viterbi.Encode(codebook, new TailBitingWindow(window), targets, expected);

        var encoder = new ViterbiEncoder(codebook);
        int windowSteps = window / codebook.Vector;
        if (Vector512.IsHardwareAccelerated)
        {
            encoder.Encode<Lanes512, Vector512<float>>(windowSteps, targets, actual);
            Assert.That(actual, Is.EqualTo(expected), "16 lanes");
        }
        if (Vector256.IsHardwareAccelerated)
        {
            encoder.Encode<Lanes256, Vector256<float>>(windowSteps, targets, actual);
            Assert.That(actual, Is.EqualTo(expected), "8 lanes");
        }
        if (Vector128.IsHardwareAccelerated)
        {
            encoder.Encode<Lanes128, Vector128<float>>(windowSteps, targets, actual);
            Assert.That(actual, Is.EqualTo(expected), "4 lanes");
        }
        encoder.Encode<Lanes1, float>(windowSteps, targets, actual);
        Assert.That(actual, Is.EqualTo(expected), "1 lane");
    }

    private static float[] Targets(string kind, TrellisCodebook codebook)
    {
        float[] targets = new float[TrellisCodebook.TileSize];
        Philox.Normal(seed: 17, RandomPurpose.Test, item: 0, targets);
        for (int i = 0; i < targets.Length; i++)
        {
            targets[i] = kind switch
            {
                "normal" => targets[i],
                "zeros" => 0,
                "ties" => MathF.Round(targets[i]) * 4,      // few distinct numbers, on the mirror axis or far outside the table
                "tiny" => targets[i] * 1e-41f,              // subnormal
                "huge" => targets[i] < 0 ? -Viterbi.LargestTarget : Viterbi.LargestTarget,   // every state costs the same
                _ => targets[i] * MathF.Pow(10, i % 35 - 18),
            };
        }
        return targets;
    }
}
