using System.Buffers;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Tail-biting Viterbi encoder of one HYB code, one tile a call; gives the states of <see cref="Viterbi"/> bit for bit.</summary>
/// <remarks>
/// <para>
/// A state is s = g + d·G: g its lower L − KV bits (the group that the next step sees), d &lt; 2^KV. Only m_t[g] = min over d of cost_t(s) is kept, for
/// every step; the traceback finds the branch again by recomputing the 2^KV costs of one group a step. The predecessor group s >> KV is the same for
/// 2^KV ≥ 16 adjacent g, so a vector of costs takes it as a broadcast.
/// </para>
/// <para>
/// The hash h(s) = s(s + 1) has two symmetries mod 2^16: h(~s) = h(s), and h(s ^ 0x8000) = h(s) ^ 0x8000, which only flips the sign of the first
/// component. Hence a quarter of the codewords, d &lt; 2^KV/2 and g &lt; G/2, serves all states and their differences to the target serve four.
/// </para>
/// </remarks>
internal sealed unsafe class ViterbiEncoder
{
    // Groups whose codewords lie together: one AVX-512 vector.
    private const int Block = 16;

    private readonly TrellisCodebook _codebook;
    private readonly int _groups, _branches;

    // [G/2 / Block][branches/2][component][Block], aligned to 64 bytes from _first on.
    private readonly float[] _codewords;
    private readonly int _first;

    /// <summary>Rearranges the codewords.</summary>
    /// <exception cref="NotSupportedException">Not a HYB code at 2, 3 or 4 bits.</exception>
    public ViterbiEncoder(TrellisCodebook codebook)
    {
        if (codebook.Vector != 2 || codebook.StepBits is < 4 or > 8 || !IsSymmetric(codebook.Values.Span))
            throw new NotSupportedException($"encoding {codebook.Name} at {codebook.Bits} bits on the CPU; supported: quantlut_sym (HYB) at 2, 3, 4 bits");
        _codebook = codebook;
        _branches = 1 << codebook.StepBits;
        _groups = TrellisCodebook.States / _branches;
        _codewords = GC.AllocateUninitializedArray<float>(TrellisCodebook.States / 2 + Alignment, pinned: true);
        _first = Padding((float*)Unsafe.AsPointer(ref _codewords[0]));

        ReadOnlySpan<float> values = codebook.Values.Span;
        int next = _first;
        for (int g = 0; g < _groups / 2; g += Block)
        {
            for (int d = 0; d < _branches / 2; d++)
            {
                for (int component = 0; component < 2; component++)
                {
                    for (int lane = 0; lane < Block; lane++)
                        _codewords[next++] = values[(g + lane + d * _groups) * 2 + component];
                }
            }
        }
    }

    private static int Alignment => HostMemory.Alignment / sizeof(float);

    /// <summary>Encodes one tile.</summary>
    /// <param name="windowSteps">Steps on each side of the seam in the first pass.</param>
    /// <param name="targets">256 weights in sequence order, checked by <see cref="Viterbi.CheckTargets"/>.</param>
    /// <param name="states">128, out.</param>
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
        int steps = _codebook.Steps, seam = 2 * windowSteps;
        Span<float> around = stackalloc float[4 * windowSteps];
        targets[^seam..].CopyTo(around);
        targets[..seam].CopyTo(around[seam..]);
        Span<ushort> path = stackalloc ushort[2 * windowSteps];

        float[] scratch = ArrayPool<float>.Shared.Rent((steps + 1) * _groups + Alignment);
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
            for (int t = 0; t < targets.Length / 2; t++)
            {
                Step<TLanes, TVector>(
                    codewords, _groups, _branches, _codebook.StepBits, targets[2 * t], targets[2 * t + 1], minima + t * _groups, minima + (t + 1) * _groups);
            }
        }
    }

    // m_t from m_{t-1}.
    private static void Step<TLanes, TVector>(
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
        int first = targets.Length / 2 - path.Length;
        path[^1] = (ushort)last;
        for (int i = path.Length - 2; i >= 0; i--)
            path[i] = (ushort)Best(targets, minima, first + i, path[i + 1] >> _codebook.StepBits);
    }

    // The lowest state of step t in a group whose cost is the group's minimum.
    private int Best(ReadOnlySpan<float> targets, float* minima, int t, int group)
    {
        ReadOnlySpan<float> values = _codebook.Values.Span;
        float* previous = minima + t * _groups;
        float minimum = previous[_groups + group], x0 = targets[2 * t], x1 = targets[2 * t + 1];
        for (int s = group; s < TrellisCodebook.States; s += _groups)
        {
            float d0 = x0 - values[2 * s], d1 = x1 - values[2 * s + 1];
            if (MathF.FusedMultiplyAdd(d1, d1, MathF.FusedMultiplyAdd(d0, d0, previous[s >> _codebook.StepBits])) == minimum)
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
