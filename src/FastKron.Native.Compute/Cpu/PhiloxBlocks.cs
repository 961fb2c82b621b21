using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Words of one <see cref="Philox"/> sequence, 64 at a time.</summary>
/// <remarks>
/// One block lies in each 64-bit lane, its numbers in the lower halves. The multiplication ignores the upper halves, so what collects there is
/// dropped only at the end. Lanes take the blocks in an order such that unpacking 128-bit parts leaves the words in order. Two vectors at a time
/// hide the latency of the ten rounds.
/// </remarks>
internal readonly ref struct PhiloxBlocks
{
    /// <summary>Words of one call.</summary>
    public const int Words = 64;

    /// <summary>Two keys for each of ten rounds.</summary>
    public const int KeyCount = 20;

    private readonly ReadOnlySpan<ulong> _keys;
    private readonly RandomPurpose _stream;
    private readonly uint _item;

    /// <summary>Chooses the sequence.</summary>
    /// <param name="seed">Philox key.</param>
    /// <param name="stream">Philox stream.</param>
    /// <param name="item">Philox item.</param>
    /// <param name="keys">Room for <see cref="KeyCount"/> numbers.</param>
    public PhiloxBlocks(ulong seed, RandomPurpose stream, uint item, Span<ulong> keys)
    {
        for (int round = 0; round < KeyCount / 2; round++)
        {
            keys[2 * round] = (uint)seed + (uint)round * 0x9E3779B9;
            keys[2 * round + 1] = (uint)(seed >> 32) + (uint)round * 0xBB67AE85;
        }
        _keys = keys;
        (_stream, _item) = (stream, item);
    }

    /// <summary>Writes the words <paramref name="position"/> … <paramref name="position"/> + 63 of the sequence.</summary>
    /// <param name="position">A multiple of 4.</param>
    /// <param name="words">Shape (64). Overwritten.</param>
    public void Fill(int position, Span<uint> words)
    {
        // The block number stays below 2²⁹, so the second counter word is 0.
        ulong block = (ulong)position >> 2;
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported)
            Fill512(block, MemoryMarshal.Cast<uint, Vector512<uint>>(words));
        else if (Avx2.IsSupported)
            Fill256(block, MemoryMarshal.Cast<uint, Vector256<uint>>(words));
        else
            FillScalar(block, words);
    }

    private void FillScalar(ulong block, Span<uint> words)
    {
        ulong seed = _keys[0] | (_keys[1] << 32);
        for (int i = 0; i < Words; i += 4)
            (words[i], words[i + 1], words[i + 2], words[i + 3]) = Philox.Words(seed, block + (ulong)i / 4, _stream, _item);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Fill512(ulong block, Span<Vector512<uint>> words)
    {
        Vector512<uint> multiplier0 = Vector512.Create(0xD2511F53UL).AsUInt32(), multiplier1 = Vector512.Create(0xCD9E8D57UL).AsUInt32();
        Vector512<ulong> x0 = Vector512.Create(block) + Vector512.Create(0UL, 4, 1, 5, 2, 6, 3, 7), x1 = x0 + Vector512.Create(8UL);
        Vector512<ulong> y0 = Vector512<ulong>.Zero, z0 = Vector512.Create((ulong)_stream), w0 = Vector512.Create((ulong)_item);
        Vector512<ulong> y1 = y0, z1 = z0, w1 = w0;
        ref ulong key = ref MemoryMarshal.GetReference(_keys);
        for (int i = 0; i < KeyCount; i += 2)
        {
            Vector512<ulong> key0 = Vector512.Create(Unsafe.Add(ref key, i)), key1 = Vector512.Create(Unsafe.Add(ref key, i + 1));
            Vector512<ulong> p0 = Avx512F.Multiply(x0.AsUInt32(), multiplier0), q0 = Avx512F.Multiply(z0.AsUInt32(), multiplier1);
            Vector512<ulong> p1 = Avx512F.Multiply(x1.AsUInt32(), multiplier0), q1 = Avx512F.Multiply(z1.AsUInt32(), multiplier1);
            x0 = (q0 >>> 32) ^ y0 ^ key0;
            z0 = (p0 >>> 32) ^ w0 ^ key1;
            x1 = (q1 >>> 32) ^ y1 ^ key0;
            z1 = (p1 >>> 32) ^ w1 ^ key1;
            (y0, w0, y1, w1) = (q0, p0, q1, p1);
        }
        Vector512<ulong> low = Vector512.Create(0xFFFF_FFFFUL);
        Vector512<ulong> xy = (x0 & low) | (y0 << 32), zw = (z0 & low) | (w0 << 32);
        words[0] = Avx512F.UnpackLow(xy, zw).AsUInt32();
        words[1] = Avx512F.UnpackHigh(xy, zw).AsUInt32();
        (xy, zw) = ((x1 & low) | (y1 << 32), (z1 & low) | (w1 << 32));
        words[2] = Avx512F.UnpackLow(xy, zw).AsUInt32();
        words[3] = Avx512F.UnpackHigh(xy, zw).AsUInt32();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Fill256(ulong block, Span<Vector256<uint>> words)
    {
        Vector256<uint> multiplier0 = Vector256.Create(0xD2511F53UL).AsUInt32(), multiplier1 = Vector256.Create(0xCD9E8D57UL).AsUInt32();
        ref ulong key = ref MemoryMarshal.GetReference(_keys);
        for (int part = 0; part < words.Length; part += 4, block += 8)
        {
            Vector256<ulong> x0 = Vector256.Create(block) + Vector256.Create(0UL, 2, 1, 3), x1 = x0 + Vector256.Create(4UL);
            Vector256<ulong> y0 = Vector256<ulong>.Zero, z0 = Vector256.Create((ulong)_stream), w0 = Vector256.Create((ulong)_item);
            Vector256<ulong> y1 = y0, z1 = z0, w1 = w0;
            for (int i = 0; i < KeyCount; i += 2)
            {
                Vector256<ulong> key0 = Vector256.Create(Unsafe.Add(ref key, i)), key1 = Vector256.Create(Unsafe.Add(ref key, i + 1));
                Vector256<ulong> p0 = Avx2.Multiply(x0.AsUInt32(), multiplier0), q0 = Avx2.Multiply(z0.AsUInt32(), multiplier1);
                Vector256<ulong> p1 = Avx2.Multiply(x1.AsUInt32(), multiplier0), q1 = Avx2.Multiply(z1.AsUInt32(), multiplier1);
                x0 = (q0 >>> 32) ^ y0 ^ key0;
                z0 = (p0 >>> 32) ^ w0 ^ key1;
                x1 = (q1 >>> 32) ^ y1 ^ key0;
                z1 = (p1 >>> 32) ^ w1 ^ key1;
                (y0, w0, y1, w1) = (q0, p0, q1, p1);
            }
            Vector256<ulong> low = Vector256.Create(0xFFFF_FFFFUL);
            Vector256<ulong> xy = (x0 & low) | (y0 << 32), zw = (z0 & low) | (w0 << 32);
            words[part] = Avx2.UnpackLow(xy, zw).AsUInt32();
            words[part + 1] = Avx2.UnpackHigh(xy, zw).AsUInt32();
            (xy, zw) = ((x1 & low) | (y1 << 32), (z1 & low) | (w1 << 32));
            words[part + 2] = Avx2.UnpackLow(xy, zw).AsUInt32();
            words[part + 3] = Avx2.UnpackHigh(xy, zw).AsUInt32();
        }
    }
}
