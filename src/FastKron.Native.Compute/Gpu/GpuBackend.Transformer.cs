using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed unsafe partial class GpuBackend
{
    // kernels/norm.cu
    private const int NormThreads = 256, WarpSize = 32;

    /// <summary>Bytes of x up to which half a warp, and a warp, take a group of columns; more take a block.</summary>
    private const int HalfWarpGroup = 256, WarpGroup = 4096;

    /// <inheritdoc/>
    public void Embedding(Tensor ids, Tensor table, Tensor y)
    {
        Enter();
        TransformerArguments.Embedding(onHost: false, ids, table, y);
        var walk = new Walk(y.Rows, y.Columns, RowsAligned(table, y));
        if (walk.IsEmpty)
            return;
        var args = new EmbeddingArgs(
            y.Address, table.Address, ids.Address, (nuint)y.Stride, (nuint)table.Stride, walk.Rows, walk.Columns, table.Rows, walk.Aligned);
        Kernel("embedding", Typed(y.Type, "embedding_f32", "embedding_bf16")).Launch(_stream, walk.Grid, walk.Block, args);
    }

    /// <inheritdoc/>
    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y)
    {
        Enter();
        TransformerArguments.RmsNorm(onHost: false, x, weight, y);
        var groups = new NormGroups(x, weight, RowsAligned(x, weight, y));
        if (groups.Count == 0)
            return;
        var args = new RmsNormArgs(
            y.Address, x.Address, weight.Address, (nuint)y.Stride, (nuint)x.Stride, groups.Count, groups.PerRow, weight.Columns, epsilon, groups.Aligned);
        string name = groups.Threads switch
        {
            WarpSize / 2 => Typed(x.Type, "rms_norm_half_f32", "rms_norm_half_bf16"),
            WarpSize => Typed(x.Type, "rms_norm_warp_f32", "rms_norm_warp_bf16"),
            _ => Typed(x.Type, "rms_norm_block_f32", "rms_norm_block_bf16"),
        };
        Kernel("norm", name).Launch(_stream, groups.Grid, NormThreads, args);
    }

    /// <inheritdoc/>
    public void RmsNormBackward(Tensor dy, Tensor x, Tensor weight, float epsilon, Tensor dx, bool accumulate)
    {
        Enter();
        TransformerArguments.RmsNormBackward(onHost: false, dy, x, weight, dx);
        var groups = new NormGroups(x, weight, RowsAligned(dy, x, weight, dx));
        if (groups.Count == 0)
            return;
        var args = new RmsNormBackwardArgs(
            dx.Address, dy.Address, x.Address, weight.Address, (nuint)dx.Stride, (nuint)dy.Stride, (nuint)x.Stride, groups.Count, groups.PerRow,
            weight.Columns, epsilon, accumulate ? 1 : 0, groups.Aligned);
        string name = groups.Threads switch
        {
            WarpSize / 2 => Typed(x.Type, "rms_norm_backward_half_f32", "rms_norm_backward_half_bf16"),
            WarpSize => Typed(x.Type, "rms_norm_backward_warp_f32", "rms_norm_backward_warp_bf16"),
            _ => Typed(x.Type, "rms_norm_backward_block_f32", "rms_norm_backward_block_bf16"),
        };
        Kernel("norm", name).Launch(_stream, groups.Grid, NormThreads, args);
    }

    /// <inheritdoc/>
    public void Rotary(Tensor x, Tensor positions, Tensor cosines, Tensor sines, int headDimension, bool inverse)
    {
        Enter();
        TransformerArguments.Rotary(onHost: false, x, positions, cosines, sines, headDimension);
        int half = headDimension / 2;
        var walk = new Walk(x.Rows, x.Columns / 2, half % ThreadElements == 0 && RowsAligned(x, cosines, sines));
        if (walk.IsEmpty)
            return;
        var args = new RotaryArgs(
            x.Address, positions.Address, cosines.Address, sines.Address, (nuint)x.Stride, (nuint)cosines.Stride, (nuint)sines.Stride,
            walk.Rows, walk.Columns, half, cosines.Rows, inverse ? -1 : 1, walk.Aligned);
        Kernel("rotary", Typed(x.Type, "rotary_f32", "rotary_bf16")).Launch(_stream, walk.Grid, walk.Block, args);
    }

    /// <inheritdoc/>
    public void SwiGlu(Tensor gate, Tensor up, Tensor y)
    {
        Enter();
        TransformerArguments.SwiGlu(onHost: false, gate, up, y);
        var walk = new Walk(gate, up, y);
        if (walk.IsEmpty)
            return;
        var args = new SwiGluArgs(
            y.Address, gate.Address, up.Address, (nuint)y.Stride, (nuint)gate.Stride, (nuint)up.Stride, walk.Rows, walk.Columns, walk.Aligned);
        Kernel("gate", Typed(y.Type, "swiglu_f32", "swiglu_bf16")).Launch(_stream, walk.Grid, walk.Block, args);
    }

    /// <inheritdoc/>
    public void SwiGluBackward(Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp)
    {
        Enter();
        TransformerArguments.SwiGluBackward(onHost: false, dy, gate, up, dGate, dUp);
        var walk = new Walk(dy, gate, up, dGate, dUp);
        if (walk.IsEmpty)
            return;
        var args = new SwiGluBackwardArgs(
            dGate.Address, dUp.Address, dy.Address, gate.Address, up.Address, (nuint)dGate.Stride, (nuint)dUp.Stride, (nuint)dy.Stride,
            (nuint)gate.Stride, (nuint)up.Stride, walk.Rows, walk.Columns, walk.Aligned);
        Kernel("gate", Typed(dy.Type, "swiglu_backward_f32", "swiglu_backward_bf16")).Launch(_stream, walk.Grid, walk.Block, args);
    }

    /// <inheritdoc/>
    public void Add(Tensor x, Tensor y)
    {
        Enter();
        TransformerArguments.Add(onHost: false, x, y);
        var walk = new Walk(x, y);
        if (walk.IsEmpty)
            return;
        var args = new AddArgs(y.Address, x.Address, (nuint)y.Stride, (nuint)x.Stride, walk.Rows, walk.Columns, walk.Aligned);
        Kernel("gate", Typed(y.Type, "add_f32", "add_bf16")).Launch(_stream, walk.Grid, walk.Block, args);
    }

    /// <summary>Name of the variant of a kernel for F32 or BF16 activations.</summary>
    private static string Typed(DType activations, string f32, string bf16) => activations == DType.F32 ? f32 : bf16;

    /// <summary>Launch of a kernel over groups of adjacent columns.</summary>
    private readonly ref struct NormGroups
    {
        public NormGroups(Tensor x, Tensor weight, bool aligned)
        {
            int bytes = weight.Columns * x.Type.Size();
            Threads = bytes <= HalfWarpGroup ? WarpSize / 2 : bytes <= WarpGroup ? WarpSize : NormThreads;
            PerRow = x.Columns / weight.Columns;
            long count = (long)x.Rows * PerRow, perBlock = NormThreads / Threads;
            (Count, Aligned) = ((nuint)count, aligned && bytes % PackBytes == 0 && weight.Columns % (PackBytes / sizeof(float)) == 0 ? 1 : 0);
            Grid = new dim3(checked((uint)((count + perBlock - 1) / perBlock)));
        }

        public nuint Count { get; }

        public int PerRow { get; }

        public int Aligned { get; }

        /// <summary>Of a group.</summary>
        public int Threads { get; }

        public dim3 Grid { get; }
    }

    private readonly record struct EmbeddingArgs(
        nint Y, nint Table, nint Ids, nuint YStride, nuint TableStride, nuint Rows, nuint Columns, int Vocabulary, int Aligned);

    private readonly record struct RmsNormArgs(
        nint Y, nint X, nint Weight, nuint YStride, nuint XStride, nuint Count, int Groups, int Columns, float Epsilon, int Aligned);

    private readonly record struct RmsNormBackwardArgs(
        nint Dx, nint Dy, nint X, nint Weight, nuint DxStride, nuint DyStride, nuint XStride, nuint Count, int Groups, int Columns, float Epsilon,
        int Accumulate, int Aligned);

    private readonly record struct RotaryArgs(
        nint X, nint Positions, nint Cosines, nint Sines, nuint XStride, nuint CosinesStride, nuint SinesStride, nuint Rows, nuint Pairs, int Half,
        int Limit, float Sign, int Aligned);

    private readonly record struct SwiGluArgs(
        nint Y, nint Gate, nint Up, nuint YStride, nuint GateStride, nuint UpStride, nuint Rows, nuint Columns, int Aligned);

    private readonly record struct SwiGluBackwardArgs(
        nint DGate, nint DUp, nint Dy, nint Gate, nint Up, nuint DGateStride, nuint DUpStride, nuint DyStride, nuint GateStride, nuint UpStride,
        nuint Rows, nuint Columns, int Aligned);

    private readonly record struct AddArgs(nint Y, nint X, nuint YStride, nuint XStride, nuint Rows, nuint Columns, int Aligned);
}
