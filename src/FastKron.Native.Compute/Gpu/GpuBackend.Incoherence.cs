using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// U = H_base ⊗ H_{2^p}. An axis that fits into shared memory is one pass over the data; a longer one is two: adjacent runs of the power of two first,
// then the rest of it with the base, on elements that lie such a run apart.
public sealed partial class GpuBackend
{
    // kernels/hadamard.cu
    private const int HadamardThreads = 512, HadamardStripBytes = 128, HadamardMixOutputs = 8, HadamardLargestBase = 172, HadamardSignWords = 946;

    /// <summary>Bytes of elements that one block holds.</summary>
    private const int HadamardSharedBytes = 64 << 10;

    /// <summary>Elements of short rows that one block takes at least.</summary>
    private const int HadamardRowElements = 4096;

    // The packed signs of each base matrix and direction.
    private static readonly ConcurrentDictionary<(ReadOnlyMemory<sbyte> Signs, bool Inverse), uint[]> HadamardSignBits = new();

    /// <inheritdoc/>
    public void Hadamard(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse)
    {
        Enter();
        TrellisArguments.Hadamard(onHost: false, x, factor, scale, axis);
        if (factor.BaseOrder > HadamardLargestBase)
            throw new NotSupportedException($"Hadamard base of order {factor.BaseOrder} on the GPU; supported: up to {HadamardLargestBase}");
        if (x.Length == 0)
            return;

        int element = x.Type.Size(), size = factor.Size, width = HadamardStripBytes / element, members = HadamardSharedBytes / HadamardStripBytes;
        nuint stride = (nuint)x.Stride;
        var pass = new HadamardPass
        {
            X = x.Address,
            Scale = scale?.Address ?? 0,
            ScaleAfter = inverse ? 1 : 0,
            Strips = 1,
            Power = factor.PowerOfTwo,
            Base = factor.BaseOrder,
            Norm = x.Type == DType.F32 ? 1 / MathF.Sqrt(size) : 1 / Math.Sqrt(size),
        };
        bool rows = axis == HadamardAxis.Rows;
        if (rows && size <= HadamardSharedBytes / element)
        {
            int vectors = Math.Clamp(HadamardRowElements / size, 1, x.Rows);
            pass = pass with
            {
                Strips = Ceiling(x.Rows, vectors),
                StripStride = (nuint)vectors * stride,
                Outer = vectors,
                OuterStride = stride,
                Inner = size,
                Limit = x.Rows,
                ScaleInner = 1,
            };
            Launch("rows", x.Type, factor, inverse, groups: 1, pass);
            return;
        }

        // The second pass has the base and as much of the power of two as fits; the first one has `run` of it.
        int second = factor.PowerOfTwo;
        while (factor.BaseOrder * second > members)
            second /= 2;
        int run = factor.PowerOfTwo / second, outer = factor.BaseOrder * second;
        int longestRun = rows ? HadamardSharedBytes / element : members;
        if (run > longestRun)
        {
            throw new NotSupportedException(
                $"Hadamard transform of {size} elements on the GPU; supported with base {factor.BaseOrder}: up to {(long)outer * longestRun}");
        }
        HadamardPass first = pass with { Scale = inverse ? 0 : pass.Scale, Power = run, Base = 1, Norm = 1 };
        HadamardPass last = pass with { Scale = inverse || run == 1 ? pass.Scale : 0, Power = second, Outer = outer };
        if (rows)
        {
            int vectors = Math.Clamp(HadamardRowElements / run, 1, outer & -outer);
            first = first with
            {
                GroupStride = stride,
                Strips = outer / vectors,
                StripStride = (nuint)(vectors * run),
                Outer = vectors,
                OuterStride = (nuint)run,
                Inner = run,
                Limit = outer,
                ScaleStrip = vectors * run,
                ScaleOuter = run,
                ScaleInner = 1,
            };
            last = last with
            {
                GroupStride = stride,
                Strips = Ceiling(run, width),
                StripStride = (nuint)width,
                OuterStride = (nuint)run,
                Limit = run,
                ScaleStrip = width,
                ScaleOuter = run,
                ScaleInner = 1,
            };
            Launch("rows", x.Type, factor, inverse, groups: x.Rows, first);
            Launch("strips", x.Type, factor, inverse, groups: x.Rows, last);
        }
        else
        {
            HadamardPass strips = pass with { Strips = Ceiling(x.Columns, width), StripStride = (nuint)width, Limit = x.Columns };
            first = first with
            {
                GroupStride = (nuint)run * stride,
                Strips = strips.Strips,
                StripStride = strips.StripStride,
                Outer = run,
                OuterStride = stride,
                Limit = strips.Limit,
                ScaleGroup = run,
                ScaleOuter = 1,
            };
            last = last with
            {
                GroupStride = stride,
                Strips = strips.Strips,
                StripStride = strips.StripStride,
                OuterStride = (nuint)run * stride,
                Limit = strips.Limit,
                ScaleGroup = 1,
                ScaleOuter = run,
            };
            if (run > 1)
                Launch("strips", x.Type, factor, inverse, groups: outer, first);
            Launch("strips", x.Type, factor, inverse, groups: run, last);
        }
    }

    private void Launch(string shape, DType type, HadamardFactor factor, bool inverse, int groups, in HadamardPass pass)
    {
        string suffix = type == DType.F32 ? "f32" : "f64";
        int elements = pass.Outer * (shape == "rows" ? pass.Inner : HadamardStripBytes / type.Size());
        uint bytes = (uint)((elements + elements / 32) * type.Size());
        dim3 grid = checked((int)((long)groups * pass.Strips));
        if (pass.Base == 1)
        {
            Kernel("hadamard", $"hadamard_{shape}_{suffix}").Launch(_stream, grid, HadamardThreads, pass, bytes);
            return;
        }
        var args = new HadamardBasePass { Pass = pass };
        uint[] signs = HadamardSignBits.GetOrAdd(
            (factor.Signs, inverse), static (key, order) => PackSigns(key.Signs.Span, order, key.Inverse), factor.BaseOrder);
        signs.CopyTo(args.Signs);
        Kernel("hadamard", $"hadamard_{shape}_base_{suffix}").Launch(_stream, grid, HadamardThreads, args, bytes);
    }

    // Output r of the base is Σ_k signs[k, r] x[k], for the inverse Σ_k signs[r, k] x[k]: bit r % 8 of byte k · ⌈order/8⌉ + r/8 tells a minus.
    private static uint[] PackSigns(ReadOnlySpan<sbyte> signs, int order, bool inverse)
    {
        int chunks = Ceiling(order, HadamardMixOutputs);
        uint[] words = new uint[HadamardSignWords];
        for (int k = 0; k < order; k++)
        {
            for (int r = 0; r < order; r++)
            {
                int position = (k * chunks + r / HadamardMixOutputs) * 8 + r % HadamardMixOutputs;
                if (signs[inverse ? r * order + k : k * order + r] < 0)
                    words[position / 32] |= 1u << (position % 32);
            }
        }
        return words;
    }

    private static int Ceiling(int dividend, int divisor) => (dividend + divisor - 1) / divisor;

    private readonly record struct HadamardPass
    {
        public nint X { get; init; }

        public nint Scale { get; init; }

        public nuint GroupStride { get; init; }

        public nuint StripStride { get; init; }

        public nuint OuterStride { get; init; }

        public int ScaleGroup { get; init; }

        public int ScaleStrip { get; init; }

        public int ScaleOuter { get; init; }

        public int ScaleInner { get; init; }

        public int Strips { get; init; }

        public int Outer { get; init; }

        public int Inner { get; init; }

        public int Limit { get; init; }

        public int Power { get; init; }

        public int Base { get; init; }

        public int ScaleAfter { get; init; }

        public double Norm { get; init; }
    }

    private struct HadamardBasePass
    {
        public HadamardPass Pass;
        public HadamardSigns Signs;
    }

    [InlineArray(HadamardSignWords)]
    private struct HadamardSigns
    {
        private uint _first;
    }
}
