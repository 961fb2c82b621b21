using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// The tensor-core kernels of compute capability 9.0: kernels/device/attention_*_warpgroup.cuh.
public sealed unsafe partial class GpuBackend
{
    // device/attention_panels.cuh; the barriers of a stage are 16 bytes.
    private const int PanelThreads = 384, PanelColumns = 64, BoxRows = 64, StageBarrierBytes = 16;

    // device/attention_forward_warpgroup.cuh: queries and their output, stages of keys and values.
    private const int PanelForwardKeys = 128, PanelForwardStages = 2;

    // device/attention_backward_warpgroup.cuh: keys and values, stages of queries and their gradients.
    private const int PanelKeyKernelQueries = 64, PanelKeyKernelStages = 3;

    // Queries, their gradients and dq, stages of keys and values.
    private const int PanelQueryKernelKeys = 64, PanelQueryKernelStages = 4;

    private void WarpgroupForward(AttentionArgs args, AttentionWork[] tiles, Tensor q, Tensor k, Tensor v, int d)
    {
        int items = Items(tiles, args.Heads);
        int rows = 2 * ForwardQueries + 2 * PanelForwardStages * PanelForwardKeys, stages = 2 + 2 * PanelForwardStages;
        var warpgroupArgs = new WarpgroupForwardArgs(
            HeadMap(q), HeadMap(k), HeadMap(v), args.Output, args.LogSumExp, args.Works, args.OutputStride, args.LogSumExpStride, items, args.Heads,
            args.KeyHeads);
        Kernel("attention", $"attention_bf16_d{d}")
            .Launch(_stream, Math.Min(items, _multiprocessors), PanelThreads, warpgroupArgs, PanelBytes(rows, stages, d));
    }

    private void WarpgroupBackward(
        AttentionBackwardKeyArgs keyArgs, AttentionWork[] keyWorks, AttentionBackwardQueryArgs queryArgs, AttentionWork[] queryWorks,
        Tensor dOutput, Tensor q, Tensor k, Tensor v, int d)
    {
        var (heads, keyHeads) = (keyArgs.Heads, keyArgs.KeyHeads);
        CudaTensorMap dOutputMap = HeadMap(dOutput), qMap = HeadMap(q), kMap = HeadMap(k), vMap = HeadMap(v);

        int keyRows = 2 * KeyKernelKeys + 2 * PanelKeyKernelStages * PanelKeyKernelQueries, keyStages = 2 + PanelKeyKernelStages;
        var warpgroupKeyArgs = new WarpgroupKeyArgs(
            dOutputMap, qMap, kMap, vMap, keyArgs.Dk, keyArgs.Dv, keyArgs.Terms, keyArgs.Works, keyArgs.DkStride, keyArgs.DvStride, keyArgs.TermsStride, heads,
            keyHeads);
        Kernel("attention", $"attention_backward_key_bf16_d{d}")
            .Launch(_stream, Items(keyWorks, keyHeads), PanelThreads, warpgroupKeyArgs, PanelBytes(keyRows, keyStages, d));

        int items = Items(queryWorks, heads);
        int queryRows = 3 * QueryKernelQueries + 2 * PanelQueryKernelStages * PanelQueryKernelKeys, queryStages = 2 + PanelQueryKernelStages;
        var warpgroupQueryArgs = new WarpgroupQueryArgs(
            dOutputMap, qMap, kMap, vMap, queryArgs.Dq, queryArgs.Terms, queryArgs.Works, queryArgs.DqStride, queryArgs.TermsStride, items, heads, keyHeads);
        Kernel("attention", $"attention_backward_query_bf16_d{d}")
            .Launch(_stream, Math.Min(items, _multiprocessors), PanelThreads, warpgroupQueryArgs, PanelBytes(queryRows, queryStages, d));
    }

    /// <summary>Boxes of 64 rows of 64 columns.</summary>
    private static CudaTensorMap HeadMap(Tensor tensor) =>
        CudaTensorMap.OfBF16(tensor.Address, [tensor.Columns, tensor.Rows], [tensor.Stride], [PanelColumns, BoxRows]);

    /// <summary>Shared memory of tiles of so many rows and the barriers of so many stages.</summary>
    private static uint PanelBytes(int rows, int stages, int headDimension) => (uint)(rows * headDimension * sizeof(ushort) + stages * StageBarrierBytes);

    private readonly record struct WarpgroupForwardArgs(
        CudaTensorMap Q, CudaTensorMap K, CudaTensorMap V, nint Output, nint LogSumExp, nint Works, nuint OutputStride, nuint LogSumExpStride, int Items,
        int Heads, int KeyHeads);

    private readonly record struct WarpgroupKeyArgs(
        CudaTensorMap DOutput, CudaTensorMap Q, CudaTensorMap K, CudaTensorMap V, nint Dk, nint Dv, nint Terms, nint Works, nuint DkStride, nuint DvStride,
        nuint TermsStride, int Heads, int KeyHeads);

    private readonly record struct WarpgroupQueryArgs(
        CudaTensorMap DOutput, CudaTensorMap Q, CudaTensorMap K, CudaTensorMap V, nint Dq, nint Terms, nint Works, nuint DqStride, nuint TermsStride, int Items,
        int Heads, int KeyHeads);
}
