using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    // kernels/rounding.cu
    private const int RoundingThreads = 256, RoundingBlock = 128, RingBytes = 32;

    /// <summary>Blocks that sum parts of a loss, for each matrix: fixed, so that the order of the sum is.</summary>
    private const int LossBlocks = 128;

    /// <summary>Tiles a multiprocessor should get at once: the last ones to finish keep the others waiting.</summary>
    private const int TilesPerMultiprocessor = 8;

    /// <inheritdoc/>
    public int TilesInFlight => TilesPerMultiprocessor * _multiprocessors;

    /// <inheritdoc/>
    public void RoundingTargets(RoundingBatch stack, TileDiagonal diagonal, TrellisLayout layout, Tensor targets)
    {
        Enter();
        RoundingArguments.Tiles(onHost: false, stack, diagonal, targets);
        nint lOut = stack.LOut?.Address ?? 0, lIn = stack.LIn?.Address ?? 0;
        if (lOut != 0 || lIn != 0)
        {
            var far = new FarArgs(stack.W.Address, stack.U.Address, stack.V.Address, lOut, lIn, stack.Rows, stack.Columns, diagonal.Row + diagonal.Column);
            Kernel("rounding", "rounding_far_f32").Launch(
                _stream, new dim3((uint)Ceiling(stack.Rows, RoundingBlock), 2, (uint)stack.Matrices), RoundingThreads, far);
        }
        Kernel("rounding", "rounding_targets_f32").Launch(
            _stream, new dim3((uint)diagonal.Count, (uint)stack.Matrices), RoundingThreads,
            new TargetsArgs(
                stack.W.Address, stack.U.Address, stack.V.Address, lOut, lIn, targets.Address, stack.Rows, stack.Columns, diagonal.Row, diagonal.Column,
                FragmentOrder(layout)));
    }

    /// <inheritdoc/>
    public void RoundingErrors(RoundingBatch stack, TileDiagonal diagonal, TrellisLayout layout, Tensor targets, Tensor values)
    {
        Enter();
        RoundingArguments.Tiles(onHost: false, stack, diagonal, targets, values);
        Kernel("rounding", "rounding_errors_f32").Launch(
            _stream, new dim3((uint)diagonal.Count, (uint)stack.Matrices), RoundingThreads,
            new ErrorsArgs(
                stack.W.Address, stack.U.Address, stack.V.Address, targets.Address, values.Address, stack.Rows, stack.Columns, diagonal.Row, diagonal.Column,
                FragmentOrder(layout)));
    }

    /// <inheritdoc/>
    public void RoundingLoss(Tensor s, Tensor? dOut, Tensor? dIn, Tensor losses)
    {
        Enter();
        RoundingArguments.Loss(onHost: false, s, dOut, dIn, losses);
        int matrices = losses.Rows;
        using DeviceMemory partial = Scratch((long)matrices * LossBlocks * sizeof(double));
        Kernel("rounding", "rounding_loss_f32").Launch(
            _stream, new dim3(LossBlocks, (uint)matrices), RoundingThreads,
            new LossArgs(partial.Address, s.Address, dOut?.Address ?? 0, dIn?.Address ?? 0, s.Rows / matrices, s.Columns));
        Kernel("rounding", "rounding_loss_total").Launch(_stream, matrices, RoundingThreads, new LossTotalArgs(losses.Address, partial.Address, LossBlocks));
    }

    /// <inheritdoc/>
    public void PackTiles(TrellisCodebook codebook, TrellisLayout layout, Tensor states, TileDiagonal diagonal, Tensor codes, int tileColumns)
    {
        Enter();
        int matrices = TrellisArguments.PackTiles(onHost: false, codebook, layout, states, diagonal, codes, tileColumns);
        Kernel("rounding", "rounding_pack_u16").Launch(
            _stream, new dim3((uint)diagonal.Count, (uint)matrices), RingBytes * codebook.Bits,
            new PackArgs(
                codes.Address, states.Address, codebook.Steps, codebook.Bits, codebook.StepBits, codes.Rows / (matrices * tileColumns), tileColumns,
                diagonal.Row, diagonal.Column, FragmentOrder(layout)));
    }

    private static int FragmentOrder(TrellisLayout layout) => layout switch
    {
        TrellisLayout.QtipPlain => 0,
        TrellisLayout.QtipKernel => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(layout)),
    };

    private readonly record struct FarArgs(nint W, nint U, nint V, nint LOut, nint LIn, int M, int N, int Diagonal);

    private readonly record struct TargetsArgs(
        nint W, nint U, nint V, nint LOut, nint LIn, nint Targets, int M, int N, int FirstRow, int FirstColumn, int FragmentOrder);

    private readonly record struct ErrorsArgs(nint W, nint U, nint V, nint Targets, nint Values, int M, int N, int FirstRow, int FirstColumn, int FragmentOrder);

    private readonly record struct PackArgs(
        nint Codes, nint States, int Steps, int Bits, int StepBits, int TileRows, int TileColumns, int FirstRow, int FirstColumn, int KernelLayout);

    private readonly record struct LossArgs(nint Partial, nint S, nint DOut, nint DIn, int M, int N);

    private readonly record struct LossTotalArgs(nint Losses, nint Partial, int Parts);
}
