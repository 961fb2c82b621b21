using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// U = H_base ⊗ H_{2^p}. One pass over the data where a row or a strip of columns fits into the shared memory of a block, or a strip into that of a
// cluster of blocks. Else two: adjacent runs of the power of two first, then the rest of it with the base, on elements that lie such a run apart.
public sealed partial class GpuBackend
{
    // kernels/hadamard.cu
    private const int HadamardThreads = 256, HadamardLargestBase = 172, HadamardSignRows = 176;
    private const int HadamardSignWords = (HadamardSignRows + 31) / 32 * HadamardSignRows;

    /// <summary>Bytes of columns side by side in a strip: a sector of memory.</summary>
    private const int HadamardStripBytes = 32;

    /// <summary>Bytes of a block's elements: about as many, of short rows; at most, where there is a choice, so that three blocks share a multiprocessor,
    /// or four of half the threads, of whole strips.</summary>
    private const int HadamardRowBytes = 16 << 10, HadamardTileBytes = 72 << 10, HadamardStripTileBytes = 50 << 10;

    /// <summary>Columns that a block needs so that each of its eight warps multiplies some by a large base.</summary>
    private const int HadamardBaseColumns = 64;

    /// <summary>Bytes of a block's elements for each of its threads.</summary>
    private const int HadamardThreadBytes = 256;

    /// <summary>Bytes that eight chunks side by side take: elements change places within such a row.</summary>
    private const int HadamardRowOfBanks = 128;

    /// <summary>Shared memory of a block beside its elements, in bytes: the signs of the base, and what the driver takes.</summary>
    private const int HadamardSignBytes = 6 << 10;

    /// <summary>log2 of the blocks of a cluster, at most; the power of two must have as many levels.</summary>
    private const int HadamardClusterBits = 3;

    // The packed signs of each base matrix and direction.
    private static readonly ConcurrentDictionary<(ReadOnlyMemory<sbyte> Signs, bool Inverse), uint[]> HadamardSignBits = new();

    /// <summary>Bytes of elements that a block can have.</summary>
    private int HadamardLargestTile => _sharedBytes - HadamardSignBytes;

    /// <inheritdoc/>
    public void Hadamard(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse)
    {
        Enter();
        TrellisArguments.Hadamard(onHost: false, x, factor, scale, axis);
        if (factor.BaseOrder > HadamardLargestBase)
            throw new NotSupportedException($"Hadamard base of order {factor.BaseOrder} on the GPU; supported: up to {HadamardLargestBase}");
        if (x.Length == 0)
            return;
        bool rows = axis == HadamardAxis.Rows;
        if (rows ? TryUnrolledRows(x, factor, scale, inverse, x) : TryUnrolledColumns(x, factor, scale, inverse))
            return;
        int element = x.Type.Size(), size = factor.Size, width = HadamardStripBytes / element;
        string type = x.Type == DType.F32 ? "f32" : "f64";
        HadamardPass pass = Pass(x, factor, scale, inverse, x, element);
        if (rows && size * element <= HadamardLargestTile)
        {
            LaunchRows(type, factor, inverse, pass, x, x, element);
            return;
        }
        nuint stride = (nuint)x.Stride;
        bool aligned = pass.Aligned != 0;
        HadamardPass Strips(int columns) =>
            pass with { Strips = Ceiling(x.Columns, columns), StripStride = (nuint)columns, Inner = columns, Limit = x.Columns };
        if (!rows && ClusterBits(factor, aligned) is { } bits)
        {
            Launch("strips", type, element, factor, inverse, groups: 1, Strips(width) with { Outer = size >> bits, OuterStride = stride, ScaleOuter = 1, ClusterBits = bits });
            return;
        }
        HadamardPass strips = Strips(width);

        // The second pass has the base and as much of the power of two as fits; the first one has `run` of it.
        int members = HadamardTileBytes / HadamardStripBytes, second = factor.PowerOfTwo;
        while (factor.BaseOrder * second > members)
            second /= 2;
        int run = factor.PowerOfTwo / second, outer = factor.BaseOrder * second;
        int longestRun = rows ? HadamardTileBytes / element : members;
        if (run > longestRun)
        {
            throw new NotSupportedException(
                $"Hadamard transform of {size} elements on the GPU; supported with base {factor.BaseOrder}: up to {(long)outer * longestRun}");
        }
        pass = pass with { Aligned = aligned && (!rows || run * element % PackBytes == 0) ? 1 : 0 };
        HadamardPass first = pass with { Scale = inverse ? 0 : pass.Scale, Power = run, Base = 1, Norm = 1 };
        HadamardPass last = pass with { Scale = inverse ? pass.Scale : 0, Power = second, Outer = outer, Inner = width };
        if (rows)
        {
            int vectors = Math.Clamp(HadamardRowBytes / (run * element), 1, outer & -outer);
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
            Launch("rows", type, element, factor, inverse, groups: x.Rows, first);
            Launch("strips", type, element, factor, inverse, groups: x.Rows, last);
        }
        else
        {
            first = first with
            {
                GroupStride = (nuint)run * stride,
                Strips = strips.Strips,
                StripStride = strips.StripStride,
                Outer = run,
                OuterStride = stride,
                Inner = width,
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
            Launch("strips", type, element, factor, inverse, groups: outer, first);
            Launch("strips", type, element, factor, inverse, groups: run, last);
        }
    }

    /// <inheritdoc/>
    public void HadamardRows(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse, Tensor y)
    {
        Enter();
        TrellisArguments.HadamardRows(onHost: false, x, factor, scale, y);
        if (x.Length == 0 || TryUnrolledRows(x, factor, scale, inverse, y))
            return;
        if (TypesOfRows(x, y) is { } types && x.Type != y.Type && factor.BaseOrder <= HadamardLargestBase && factor.Size * sizeof(float) <= HadamardLargestTile)
        {
            LaunchRows(types, factor, inverse, Pass(x, factor, scale, inverse, y, sizeof(float)), x, y, sizeof(float));
            return;
        }
        using Tensor? wide = y.Type == DType.F32 ? null : Allocate(DType.F32, x.Rows, x.Columns);
        Tensor work = wide ?? y;
        if (x != work)
            Convert(x, work);
        Hadamard(work, factor, scale, HadamardAxis.Rows, inverse);
        if (work != y)
            Convert(work, y);
    }

    /// <summary>How kernels that read rows of x and write those of y are called; null if there are none.</summary>
    private static string? TypesOfRows(Tensor x, Tensor y) => (x.Type, y.Type) switch
    {
        (DType.F32, DType.F32) => "f32",
        (DType.F64, DType.F64) => "f64",
        (DType.BF16, DType.F32) => "bf16_f32",
        (DType.F32, DType.BF16) => "f32_bf16",
        _ => null,
    };

    // What all passes have in common: from x to y, element bytes of the sums.
    private static HadamardPass Pass(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse, Tensor y, int element)
    {
        bool aligned = RowsAligned(x, y) && (scale?.Address ?? 0) % PackBytes == 0 && x.Columns * element % PackBytes == 0;
        return new HadamardPass
        {
            X = y.Address,
            Source = x.Address,
            Scale = scale?.Address ?? 0,
            Strips = 1,
            Power = factor.PowerOfTwo,
            Base = factor.BaseOrder,
            ScaleAfter = inverse ? 1 : 0,
            Aligned = aligned ? 1 : 0,
            Norm = element == sizeof(float) ? 1 / MathF.Sqrt(factor.Size) : 1 / Math.Sqrt(factor.Size),
        };
    }

    // One pass over rows that fit a block.
    private void LaunchRows(string types, HadamardFactor factor, bool inverse, HadamardPass pass, Tensor x, Tensor y, int element)
    {
        bool hasBase = factor.BaseOrder > 1;
        int most = Math.Clamp((hasBase ? HadamardTileBytes : HadamardRowBytes) / (factor.Size * element), 1, x.Rows);
        int vectors = hasBase ? Math.Min(most, Ceiling(HadamardBaseColumns, factor.PowerOfTwo)) : most;
        Launch("rows", types, element, factor, inverse, groups: 1, pass with
        {
            Strips = Ceiling(x.Rows, vectors),
            StripStride = (nuint)vectors * (nuint)y.Stride,
            OuterStride = (nuint)y.Stride,
            SourceStripStride = (nuint)vectors * (nuint)x.Stride,
            SourceOuterStride = (nuint)x.Stride,
            Outer = vectors,
            Inner = factor.Size,
            Limit = x.Rows,
            ScaleInner = 1,
        });
    }

    /// <summary>log2 of the blocks that together hold a strip: as few as can in a tile each, else the most; null if those do not.</summary>
    private int? ClusterBits(HadamardFactor factor, bool aligned)
    {
        bool clusters = _images.HasWarpgroups && aligned && factor.PowerOfTwo >> HadamardClusterBits > 0;
        int bytes = factor.Size * HadamardStripBytes, most = clusters ? HadamardClusterBits : 0;
        for (int bits = 0; bits < most; bits++)
        {
            if (bytes >> bits <= HadamardStripTileBytes)
                return bits;
        }
        return bytes >> most <= HadamardLargestTile ? most : null;
    }

    private void Launch(string shape, string types, int element, HadamardFactor factor, bool inverse, int groups, HadamardPass pass)
    {
        pass = pass with { InnerInverse = (uint)Math.Min(uint.MaxValue, ((1L << 32) + pass.Inner - 1) / pass.Inner) };
        int bytes = Ceiling(pass.Outer * pass.Inner * element, HadamardRowOfBanks) * HadamardRowOfBanks;
        dim3 grid = checked((int)(((long)groups * pass.Strips) << pass.ClusterBits));
        int threads = pass.Base == 1 ? Math.Clamp(Ceiling(bytes / HadamardThreadBytes, WarpSize) * WarpSize, HadamardThreads / 2, HadamardThreads)
            : shape == "rows" || bytes > HadamardStripTileBytes ? HadamardThreads : HadamardThreads / 2;
        int cluster = 1 << pass.ClusterBits;
        if (pass.Base == 1)
        {
            Kernel("hadamard", $"hadamard_{shape}_{types}").Launch(_stream, grid, threads, pass, (uint)bytes, cluster);
            return;
        }
        var args = new HadamardBasePass { Pass = pass };
        uint[] signs = HadamardSignBits.GetOrAdd((factor.Signs, inverse), static (key, order) => PackSigns(key.Signs.Span, order, key.Inverse), factor.BaseOrder);
        signs.CopyTo(args.Signs);
        Kernel("hadamard", $"hadamard_base_{shape}_{types}").Launch(_stream, grid, threads, args, (uint)bytes, cluster);
    }

    // Output r of the base is Σ_k signs[k, r] x[k], for the inverse Σ_k signs[r, k] x[k]: bit k % 32 of word k/32 · SignRows + r tells a minus.
    private static uint[] PackSigns(ReadOnlySpan<sbyte> signs, int order, bool inverse)
    {
        uint[] words = new uint[HadamardSignWords];
        for (int k = 0; k < order; k++)
        {
            for (int r = 0; r < order; r++)
            {
                if (signs[inverse ? r * order + k : k * order + r] < 0)
                    words[k / 32 * HadamardSignRows + r] |= 1u << (k % 32);
            }
        }
        return words;
    }

    private static int Ceiling(int dividend, int divisor) => (dividend + divisor - 1) / divisor;

    private readonly record struct HadamardPass
    {
        public nint X { get; init; }

        public nint Source { get; init; }

        public nint Scale { get; init; }

        public nuint GroupStride { get; init; }

        public nuint StripStride { get; init; }

        public nuint OuterStride { get; init; }

        public nuint SourceStripStride { get; init; }

        public nuint SourceOuterStride { get; init; }

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

        public int ClusterBits { get; init; }

        public int ScaleAfter { get; init; }

        public int Aligned { get; init; }

        public uint InnerInverse { get; init; }

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
