using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    // kernels/rounding.cu
    private const int RoundingThreads = 256, RoundingBlock = 128, RingBytes = 32;

    /// <summary>Blocks that sum parts of a loss, for each matrix: fixed, so that the order of the sum is.</summary>
    private const int LossBlocks = 128;

    /// <summary>Bands of rows whose columns are summed apart: fixed, so that the order of the sum is.</summary>
    private const int BalanceBands = 32;

    /// <summary>Tiles that a multiprocessor encodes together: two in packed half, and at V = 2 in float32 as well.</summary>
    private const int TilesPerMultiprocessor = 2;

    /// <inheritdoc/>
    public int TilesAtOnce => TilesPerMultiprocessor * _multiprocessors;

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

    /// <inheritdoc/>
    public void BalanceEnergy(Tensor w, int sweeps, Tensor r, Tensor c)
    {
        Enter();
        RoundingArguments.Balance(onHost: false, w, sweeps, r, c);
        int matrices = r.Rows, m = r.Columns, n = c.Columns;
        if (w.Length == 0)
            return;
        using DeviceMemory partial = Scratch((long)matrices * BalanceBands * n * sizeof(double));
        CudaKernel rows = Kernel("rounding", "balance_rows_f32"), bands = Kernel("rounding", "balance_bands_f32"), columns = Kernel("rounding", "balance_columns_f64");
        int blocks = Ceiling(n, RoundingThreads);
        Fill(c, 1);
        for (int sweep = 0; sweep <= sweeps; sweep++)
        {
            rows.Launch(_stream, new dim3((uint)m, (uint)matrices), RoundingThreads, new BalanceRowsArgs(r.Address, w.Address, c.Address, n));
            if (sweep == sweeps)
                break;
            bands.Launch(
                _stream, new dim3((uint)blocks, BalanceBands, (uint)matrices), RoundingThreads, new BalanceBandsArgs(partial.Address, w.Address, r.Address, m, n));
            columns.Launch(_stream, new dim3((uint)blocks, (uint)matrices), RoundingThreads, new BalanceColumnsArgs(c.Address, partial.Address, m, n, BalanceBands));
        }
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

    private readonly record struct BalanceRowsArgs(nint R, nint W, nint C, int N);

    private readonly record struct BalanceBandsArgs(nint Partial, nint W, nint R, int M, int N);

    private readonly record struct BalanceColumnsArgs(nint C, nint Partial, int M, int N, int Bands);

    private readonly record struct LossTotalArgs(nint Losses, nint Partial, int Parts);
}
