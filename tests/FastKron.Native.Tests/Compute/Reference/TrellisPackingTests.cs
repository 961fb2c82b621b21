using System.Runtime.InteropServices;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Reference;

public sealed class TrellisPackingTests
{
    private static readonly TrellisLayout[] Layouts = Enum.GetValues<TrellisLayout>();

    [TestCaseSource(nameof(Layouts))]
    public void Order_EveryLayout_IsAPermutation(TrellisLayout layout) =>
        Assert.That(TrellisPacking.Order(layout).ToArray(), Is.EquivalentTo(Enumerable.Range(0, 256)));

    // The other way to write the kernel's order: step t = rowLow·16 + columnMiddle·4 + columnHigh·2 + rowHigh holds two adjacent columns.
    [Test]
    public void Order_Kernel_FollowsTheFragmentsOfTheMatrixInstruction()
    {
        byte[] expected = new byte[256];
        for (int i = 0; i < 256; i++)
        {
            int t = i / 2, row = t % 2 * 8 + t / 16, column = t / 2 % 2 * 8 + t / 4 % 4 * 2 + i % 2;
            expected[i] = (byte)(row * 16 + column);
        }
        Assert.That(TrellisPacking.Order(TrellisLayout.QtipKernel).ToArray(), Is.EqualTo(expected));
    }

    [Test]
    public void Pack_RandomRings_UnpacksToTheSameStates([Values(2, 3, 4)] int bits, [ValueSource(nameof(Layouts))] TrellisLayout layout)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        ushort[] states = RandomRings(codebook, tiles: 4 * 6), words = new ushort[24 * codebook.PackedWords], unpacked = new ushort[states.Length];
        TrellisPacking.Pack(codebook, layout, 64, 96, states, words);
        TrellisPacking.Unpack(codebook, layout, 64, 96, words, unpacked);
        Assert.That(unpacked, Is.EqualTo(states));
    }

    // Any bits are a valid matrix, so packing is a bijection.
    [Test]
    public void Unpack_RandomWords_PacksToTheSameWords([Values(2, 3, 4)] int bits, [ValueSource(nameof(Layouts))] TrellisLayout layout)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        ushort[] words = [.. Enumerable.Range(0, 8 * codebook.PackedWords).Select(i => (ushort)Philox.Word(5, (ulong)i, RandomPurpose.Test, 0))];
        ushort[] states = new ushort[8 * codebook.Steps], packed = new ushort[words.Length];
        TrellisPacking.Unpack(codebook, layout, 32, 64, words, states);
        TrellisPacking.Pack(codebook, layout, 32, 64, states, packed);
        Assert.That(packed, Is.EqualTo(words));
    }

    // Byte p of the ring of tile (i, j) is 64 (2i + j) + p, most significant bit first.
    [Test]
    public void Pack_TwoBits_GivesGoldenBytes()
    {
        Assert.That(PackedCounters(2, TrellisLayout.QtipPlain)[..8], Is.EqualTo(Convert.FromHexString("0100030205040706")));
        byte[] kernel = PackedCounters(2, TrellisLayout.QtipKernel);
        Assert.That(kernel[..16], Is.EqualTo(Convert.FromHexString("010081804140C1C0" + "030283824342C3C2")));
        Assert.That(kernel[^8..], Is.EqualTo(Convert.FromHexString("3F3EBFBE7F7EFFFE")));
    }

    // As above with 96 bytes a tile, mod 256: tile (1, 0) begins with C0, (0, 1) with 60, (1, 1) with 20.
    [Test]
    public void Pack_ThreeBits_GivesGoldenBytes()
    {
        Assert.That(PackedCounters(3, TrellisLayout.QtipPlain)[..6], Is.EqualTo(Convert.FromHexString("010003020504")));
        byte[] kernel = PackedCounters(3, TrellisLayout.QtipKernel);
        Assert.That(kernel[..24], Is.EqualTo(Convert.FromHexString("020100C2C1C0626160222120" + "050403C5C4C3656463252423")));
    }

    // The file as the kernel reads it: lane l of a 2 × 2 group holds four little-endian integers of K bytes, (column half, row half) = 00, 01, 10, 11,
    // each the fresh bits of four states.
    [Test]
    public void Pack_Kernel_LiesInLaneRecords([Values(2, 3, 4)] int bits)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        int tileColumns = 4;
        ushort[] states = RandomRings(codebook, tiles: 4 * tileColumns), words = new ushort[16 * codebook.PackedWords];
        TrellisPacking.Pack(codebook, TrellisLayout.QtipKernel, 64, 64, states, words);
        ReadOnlySpan<byte> file = MemoryMarshal.AsBytes<ushort>(words);
        int at = 0;
        for (int group = 0; group < 4; group++)
        {
            for (int lane = 0; lane < 32; lane++)
            {
                for (int part = 0; part < 4; part++)
                {
                    int tileRow = group / 2 * 2 + part % 2, tileColumn = group % 2 * 2 + part / 2;
                    ReadOnlySpan<ushort> four = states.AsSpan((tileRow * tileColumns + tileColumn) * codebook.Steps + 4 * lane, 4);
                    uint expected = 0, found = 0;
                    foreach (ushort state in four)
                        expected = expected << (2 * bits) | (uint)state >> (16 - 2 * bits);
                    for (int b = 0; b < bits; b++)
                        found |= (uint)file[at++] << (8 * b);
                    Assert.That(found, Is.EqualTo(expected), $"group {group}, lane {lane}, part {part}");
                }
            }
        }
    }

    [Test]
    public void Pack_StatesThatDoNotOverlap_Throws()
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(2);
        ushort[] states = RandomRings(codebook, tiles: 4);
        states[3 * codebook.Steps + 127] ^= 1;   // the last state of the last tile shares this bit with the first
        Assert.That(
            () => TrellisPacking.Pack(codebook, TrellisLayout.QtipPlain, 32, 32, states, new ushort[4 * codebook.PackedWords]),
            Throws.ArgumentException.With.Message.StartsWith("tile 3: states 127 "));
    }

    [TestCase(TrellisLayout.QtipPlain, 24, 32)]
    [TestCase(TrellisLayout.QtipKernel, 16, 32)]
    [TestCase(TrellisLayout.QtipKernel, 32, 48)]
    [TestCase(TrellisLayout.QtipKernel, 0, 32)]
    public void CheckSizes_NotAMultiple_Throws(TrellisLayout layout, int rows, int columns) =>
        Assert.That(() => TrellisPacking.CheckSizes(layout, rows, columns), Throws.ArgumentException.With.Message.Contains($"({rows}, {columns})"));

    private static byte[] PackedCounters(int bits, TrellisLayout layout)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        int ring = 32 * bits;
        ushort[] states = new ushort[4 * codebook.Steps], words = new ushort[4 * codebook.PackedWords];
        for (int i = 0; i < states.Length; i++)
        {
            int tile = i / codebook.Steps, bit = i % codebook.Steps * codebook.StepBits;
            int Byte(int p) => (tile * ring + p % ring) & 255;
            int three = Byte(bit / 8) << 16 | Byte(bit / 8 + 1) << 8 | Byte(bit / 8 + 2);
            states[i] = (ushort)(three >> (8 - bit % 8));
        }
        TrellisPacking.Pack(codebook, layout, 32, 32, states, words);
        return MemoryMarshal.AsBytes<ushort>(words).ToArray();
    }

    internal static ushort[] RandomRings(TrellisCodebook codebook, int tiles)
    {
        ushort[] states = new ushort[tiles * codebook.Steps];
        for (int tile = 0; tile < tiles; tile++)
        {
            int Fresh(int t) => (int)(Philox.Word(9, (ulong)((t + codebook.Steps) % codebook.Steps), RandomPurpose.Test, (uint)tile) >> (32 - codebook.StepBits));
            for (int t = 0; t < codebook.Steps; t++)
            {
                int state = 0;
                for (int back = 16 / codebook.StepBits + 1; back >= 0; back--)
                    state = state << codebook.StepBits | Fresh(t - back);
                states[tile * codebook.Steps + t] = (ushort)state;
            }
        }
        return states;
    }
}
