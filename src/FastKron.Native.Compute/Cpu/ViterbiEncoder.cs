using System.Buffers;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Tail-biting Viterbi encoder of one code, one tile a call; gives the states of <see cref="Viterbi"/> bit for bit.</summary>
/// <remarks>
/// <para>
/// A state is s = g + d·G: g its lower L − KV bits (the group that the next step sees), d &lt; 2^KV. Only m_t[g] = min over d of cost_t(s) is kept, for
/// every step; the traceback finds the branch again by recomputing the 2^KV costs of one group a step. The predecessor group s >> KV is the same for
/// 2^KV adjacent g, so a vector of costs takes it as a broadcast where 2^KV ≥ 16, else by a permutation of a few.
/// </para>
/// <para>
/// HYB, V = 2: the hash h(s) = s(s + 1) has two symmetries mod 2^16: h(~s) = h(s), and h(s ^ 0x8000) = h(s) ^ 0x8000, which only flips the sign of the first
/// component. Hence a quarter of the codewords, d &lt; 2^KV/2 and g &lt; G/2, serves all states and their differences to the target serve four.
/// </para>
/// </remarks>
internal sealed unsafe class ViterbiEncoder
{
    // Groups whose codewords lie together: one AVX-512 vector.
    private const int Block = 16;

    private readonly TrellisCodebook _codebook;
    private readonly int _groups, _branches;

    // V = 2: [G/2 / Block][branches/2][component][Block]; V = 1: [G / Block][branches][Block]; aligned to 64 bytes from _first on.
    private readonly float[] _codewords;
    private readonly int _first;

    /// <summary>Rearranges the codewords.</summary>
    /// <exception cref="NotSupportedException">Neither V = 1 at 1 to 8 bits nor a HYB code at 2, 3 or 4 bits.</exception>
    public ViterbiEncoder(TrellisCodebook codebook)
    {
        bool hybrid = codebook.Vector == 2 && codebook.StepBits is >= 4 and <= 8 && IsSymmetric(codebook.Values.Span);
        if (!hybrid && (codebook.Vector != 1 || codebook.Bits is < 1 or > 8))
        {
            throw new NotSupportedException(
                $"encoding {codebook.Name} at {codebook.Bits} bits on the CPU; supported: quantlut_sym (HYB) at 2, 3, 4 bits, codes of one weight a step at 1 to 8");
        }
        _codebook = codebook;
        _branches = 1 << codebook.StepBits;
        _groups = TrellisCodebook.States / _branches;
        _codewords = GC.AllocateUninitializedArray<float>((hybrid ? TrellisCodebook.States / 2 : TrellisCodebook.States) + Alignment, pinned: true);
        _first = Padding((float*)Unsafe.AsPointer(ref _codewords[0]));

        ReadOnlySpan<float> values = codebook.Values.Span;
        int next = _first, folded = hybrid ? 2 : 1, vector = codebook.Vector;
        for (int g = 0; g < _groups / folded; g += Block)
        {
            for (int d = 0; d < _branches / folded; d++)
            {
                for (int component = 0; component < vector; component++)
                {
                    for (int lane = 0; lane < Block; lane++)
                        _codewords[next++] = values[(g + lane + d * _groups) * vector + component];
                }
            }
        }
    }

    private static int Alignment => HostMemory.Alignment / sizeof(float);

    /// <summary>Encodes one tile.</summary>
    /// <param name="windowSteps">Steps on each side of the seam in the first pass.</param>
    /// <param name="targets">256 weights in sequence order, checked by <see cref="Viterbi.CheckTargets"/>.</param>
    /// <param name="states">256/V, out.</param>
    public void Encode(int windowSteps, ReadOnlySpan<float> targets, Span<ushort> states)
    {
        if (Vector512.IsHardwareAccelerated)
            Encode<Lanes512, Vector512<float>>(windowSteps, targets, states);
        else if (Vector256.IsHardwareAccelerated)
            Encode<Lanes256, Vector256<float>>(windowSteps, targets, states);
        else if (Vector128.IsHardwareAccelerated)
            Encode<Lanes128, Vector128<float>>(windowSteps, targets, states);
        else
            Encode<Lanes1, float>(windowSteps, targets, states);
    }

    /// <summary>The same at a chosen vector width.</summary>
    internal void Encode<TLanes, TVector>(int windowSteps, ReadOnlySpan<float> targets, Span<ushort> states)
        where TLanes : struct, IViterbiLanes<TVector>
    {
        int steps = _codebook.Steps, seam = _codebook.Vector * windowSteps;
        Span<float> around = stackalloc float[2 * seam];
        targets[^seam..].CopyTo(around);
        targets[..seam].CopyTo(around[seam..]);
        Span<ushort> path = stackalloc ushort[2 * windowSteps];

        float[] scratch = ArrayPool<float>.Shared.Rent((steps + 1) * _groups + 2 * Alignment);     // vectors are read beyond the last row
        fixed (float* start = scratch)
        {
            // Row 0: cost of each group before the first step; row t + 1: m_t.
            float* minima = start + Padding(start);
            new Span<float>(minima, _groups).Clear();
            Forward<TLanes, TVector>(around, minima);
            TraceBack(around, minima, LowestBest(around, minima, path.Length - 1), path[windowSteps..]);

            int overlap = path[windowSteps] >> _codebook.StepBits;
            new Span<float>(minima, _groups).Fill(float.PositiveInfinity);
            minima[overlap] = 0;
            Forward<TLanes, TVector>(targets, minima);
            TraceBack(targets, minima, Best(targets, minima, steps - 1, overlap), states[..steps]);
        }
        ArrayPool<float>.Shared.Return(scratch);
    }

    private void Forward<TLanes, TVector>(ReadOnlySpan<float> targets, float* minima)
        where TLanes : struct, IViterbiLanes<TVector>
    {
        fixed (float* codewords = &_codewords[_first])
        {
            for (int t = 0; t < targets.Length / _codebook.Vector; t++)
            {
                float* previous = minima + t * _groups, next = previous + _groups;
                if (_codebook.Vector == 2)
                    StepFolded<TLanes, TVector>(codewords, _groups, _branches, _codebook.StepBits, targets[2 * t], targets[2 * t + 1], previous, next);
                else
                    Step<TLanes, TVector>(codewords, _groups, _branches, _codebook.StepBits, targets[t], previous, next);
            }
        }
    }

    // m_t from m_{t-1}, V = 1.
    private static void Step<TLanes, TVector>(float* codewords, int groups, int branches, int stepBits, float target, float* previous, float* next)
        where TLanes : struct, IViterbiLanes<TVector>
    {
        nint stride = groups / branches;
        TVector x = TLanes.Broadcast(target);
        for (int block = 0; block < groups; block += Block)
        {
            for (int lane = 0; lane < Block; lane += TLanes.Count)
            {
                TVector best = TLanes.Broadcast(float.PositiveInfinity);
                float* codeword = codewords + (nint)block * branches + lane, end = codeword + Block * branches;
                for (float* from = previous + ((block + lane) >> stepBits); codeword < end; codeword += Block, from += stride)
                    best = TLanes.Min(best, TLanes.SquareAdd(TLanes.Subtract(x, TLanes.Load(codeword)), TLanes.Spread(from, stepBits)));
                TLanes.Store(best, next + block + lane);
            }
        }
    }

    // m_t from m_{t-1}, V = 2: the quarter of the codewords with its mirror images.
    private static void StepFolded<TLanes, TVector>(
        float* codewords, int groups, int branches, int stepBits, float target0, float target1, float* previous, float* next)
        where TLanes : struct, IViterbiLanes<TVector>
    {
        nint half = groups / 2, stride = groups / branches;
        TVector x0 = TLanes.Broadcast(target0), x1 = TLanes.Broadcast(target1);
        for (int block = 0; block < half; block += Block)
        {
            for (int lane = 0; lane < Block; lane += TLanes.Count)
            {
                // States s and s ^ 0x8000 for the groups from block + lane on, ~s and ~s ^ 0x8000 for their mirror images.
                TVector best = TLanes.Broadcast(float.PositiveInfinity), mirrored = best;
                float* codeword = codewords + (nint)block * branches + lane, end = codeword + Block * branches;
                float* from = previous + (block >> stepBits), mirroredFrom = previous + (groups - 1 - (block >> stepBits));
                for (; codeword < end; codeword += 2 * Block)
                {
                    TVector c0 = TLanes.Load(codeword);
                    TVector plus = TLanes.Subtract(x0, c0), minus = TLanes.Add(x0, c0);
                    TVector second = TLanes.Subtract(x1, TLanes.Load(codeword + Block));
                    best = TLanes.Min(best, TLanes.SquareAdd(second, TLanes.SquareAdd(plus, TLanes.Broadcast(from[0]))));
                    mirrored = TLanes.Min(mirrored, TLanes.SquareAdd(second, TLanes.SquareAdd(plus, TLanes.Broadcast(mirroredFrom[0]))));
                    best = TLanes.Min(best, TLanes.SquareAdd(second, TLanes.SquareAdd(minus, TLanes.Broadcast(from[half]))));
                    mirrored = TLanes.Min(mirrored, TLanes.SquareAdd(second, TLanes.SquareAdd(minus, TLanes.Broadcast(mirroredFrom[-half]))));
                    from += stride;
                    mirroredFrom -= stride;
                }
                TLanes.Store(best, next + block + lane);
                TLanes.Store(TLanes.Reverse(mirrored), next + groups - TLanes.Count - block - lane);
            }
        }
    }

    // path[i] for the last path.Length steps, from the last state on.
    private void TraceBack(ReadOnlySpan<float> targets, float* minima, int last, Span<ushort> path)
    {
        int first = targets.Length / _codebook.Vector - path.Length;
        path[^1] = (ushort)last;
        for (int i = path.Length - 2; i >= 0; i--)
            path[i] = (ushort)Best(targets, minima, first + i, path[i + 1] >> _codebook.StepBits);
    }

    // The lowest state of step t in a group whose cost is the group's minimum.
    private int Best(ReadOnlySpan<float> targets, float* minima, int t, int group)
    {
        ReadOnlySpan<float> values = _codebook.Values.Span;
        float* previous = minima + t * _groups;
        float minimum = previous[_groups + group];
        int vector = _codebook.Vector;
        for (int s = group; s < TrellisCodebook.States; s += _groups)
        {
            float cost = previous[s >> _codebook.StepBits];
            for (int v = 0; v < vector; v++)
            {
                float difference = targets[t * vector + v] - values[s * vector + v];
                cost = MathF.FusedMultiplyAdd(difference, difference, cost);
            }
            if (cost == minimum)
                return s;
        }
        throw new UnreachableException($"group {group} of step {t}: no state has the minimal cost {minimum:R}");
    }

    // The lowest of all states of step t with the lowest cost.
    private int LowestBest(ReadOnlySpan<float> targets, float* minima, int t)
    {
        var row = new ReadOnlySpan<float>(minima + (t + 1) * _groups, _groups);
        float minimum = float.PositiveInfinity;
        foreach (float cost in row)
            minimum = MathF.Min(minimum, cost);
        int best = int.MaxValue;
        for (int g = 0; g < _groups; g++)
        {
            if (row[g] == minimum)
                best = Math.Min(best, Best(targets, minima, t, g));
        }
        return best;
    }

    // Elements from an address to the next multiple of 64 bytes.
    private static int Padding(float* address) => (int)(-(nint)address & (HostMemory.Alignment - 1)) / sizeof(float);

    private static bool IsSymmetric(ReadOnlySpan<float> values)
    {
        for (int s = 0; s < TrellisCodebook.States; s++)
        {
            int mirror = TrellisCodebook.States - 1 - s, opposite = s ^ 0x8000;
            if (values[2 * mirror] != values[2 * s] || values[2 * mirror + 1] != values[2 * s + 1]
                || values[2 * opposite] != -values[2 * s] || values[2 * opposite + 1] != values[2 * s + 1])
                return false;
        }
        return true;
    }
}
