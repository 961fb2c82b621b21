using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Gpu;

// BF16 heads of 64 or 128 elements at 16-byte addresses go to the tensor cores, on compute capability 9.0 by the kernels of
// GpuBackend.Attention.Warpgroups.cs, whose blocks own as many queries and keys as the others'; sequences with few queries (decoding), other sizes, other
// alignments and F32 to the kernels that take one row at a time. Which one depends on the sequence alone, never on its neighbours in the batch.
public sealed unsafe partial class GpuBackend
{
    /// <summary>Longest head of any kernel: the row kernels hold one in the registers of a team.</summary>
    private const int LargestHead = 256;

    /// <summary>Sequences of at most so many queries do not fill a tile: reading the keys is all their time.</summary>
    private const int FewQueries = 8;

    // device/attention_rows.cuh
    private const int AttentionRowThreads = 256, RowTeams = 16, RowsOfWork = 4, SmallHead = 64;

    // device/attention_forward.cuh
    private const int ForwardQueries = 128, ForwardKeys = 64, ForwardThreads = 128;

    // device/attention_backward.cuh
    private const int KeyKernelKeys = 128, KeyKernelQueries = 32, KeyKernelThreads = 256, TermBytes = 2 * sizeof(float);
    private const int QueryKernelQueries = 128, QueryKernelKeys = 64, QueryKernelThreads = 256;

    // The blocks of a model attend one after the other with one layout: its works are uploaded once, and kept until another comes.
    private readonly Lock _attending = new();
    private ForwardWorks? _forwardWorks;

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">Heads of more than 256 elements.</exception>
    public void Attention(Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        Enter();
        AttentionArguments.Forward(onHost: false, q, k, v, layout, output, logSumExp);
        RequireHeadSize(layout);
        if (q.Rows == 0)
            return;

        lock (_attending)
            Attend(WorksOf(layout, SuitsTensorCores(layout.HeadDimension, q, k, v, output)), q, k, v, output, logSumExp);
    }

    private void Attend(ForwardWorks forward, Tensor q, Tensor k, Tensor v, Tensor output, Tensor? logSumExp)
    {
        ((int heads, int keyHeads, int d, _), bool tiled, AttentionWork[] tiles, AttentionWork[] rows, DeviceMemory works) = forward;
        var args = new AttentionArgs(
            output.Address, logSumExp?.Address ?? 0, q.Address, k.Address, v.Address, works.Address, (nuint)output.Stride,
            (nuint)(logSumExp?.Stride ?? 0), (nuint)q.Stride, (nuint)k.Stride, (nuint)v.Stride, heads, keyHeads);
        if (tiles.Length > 0 && _images.HasWarpgroups)
        {
            WarpgroupForward(args, tiles, q, k, v, d);
        }
        else if (tiles.Length > 0)
        {
            uint sharedBytes = (uint)((ForwardQueries + 2 * ForwardKeys) * d * sizeof(ushort));
            Kernel("attention", $"attention_bf16_d{d}").Launch(_stream, Items(tiles, heads), ForwardThreads, args, sharedBytes);
        }
        if (rows.Length > 0)
        {
            string name = tiled ? $"attention_decode_bf16_d{d}" : $"attention_rows_{RowKernel(q.Type, d)}";
            var rowArgs = new RowArgs<AttentionArgs>(args with { Works = works.Address + tiles.Length * sizeof(AttentionWork) }, d);
            Kernel("attention", name).Launch(_stream, Items(rows, heads), AttentionRowThreads, rowArgs);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">Heads of more than 256 elements.</exception>
    public void AttentionBackward(
        Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv)
    {
        Enter();
        AttentionArguments.Backward(onHost: false, dOutput, q, k, v, output, logSumExp, layout, dq, dk, dv);
        RequireHeadSize(layout);
        var (heads, keyHeads, d, sequences) = layout;
        if (sequences.Sum(s => s.QueryCount > 0 ? s.KeyCount : 0) < k.Rows)
        {
            // Keys that no query sees have no gradient.
            Fill(dk, 0);
            Fill(dv, 0);
        }
        if (q.Rows == 0)
            return;

        bool tiled = SuitsTensorCores(d, dOutput, q, k, v, output, dq, dk, dv);
        string suffix = tiled ? $"bf16_d{d}" : RowKernel(q.Type, d);
        using DeviceMemory terms = Scratch((long)heads * q.Rows * TermBytes);
        var termArgs = new AttentionTermsArgs(
            terms.Address, dOutput.Address, output.Address, logSumExp.Address, (nuint)dOutput.Stride, (nuint)output.Stride, (nuint)logSumExp.Stride,
            q.Rows, heads, d);
        string termKernel = tiled ? $"attention_terms_{suffix}" : $"attention_terms_{(q.Type == DType.BF16 ? "bf16" : "f32")}";
        uint termGrid = checked((uint)(((long)q.Rows * heads + RowTeams - 1) / RowTeams));
        Kernel("attention", termKernel).Launch(_stream, new(termGrid), AttentionRowThreads, termArgs);

        AttentionWork[] queryWorks = AttentionWork.OfQueries(sequences, tiled ? QueryKernelQueries : RowsOfWork);
        AttentionWork[] keyWorks = AttentionWork.OfKeys(sequences, tiled ? KeyKernelKeys : RowsOfWork);
        using DeviceMemory works = Upload(queryWorks, keyWorks);
        var queryArgs = new AttentionBackwardQueryArgs(
            dq.Address, dOutput.Address, q.Address, k.Address, v.Address, terms.Address, works.Address, (nuint)dq.Stride, (nuint)dOutput.Stride,
            (nuint)q.Stride, (nuint)k.Stride, (nuint)v.Stride, (nuint)q.Rows, heads, keyHeads);
        var keyArgs = new AttentionBackwardKeyArgs(
            dk.Address, dv.Address, dOutput.Address, q.Address, k.Address, v.Address, terms.Address,
            works.Address + queryWorks.Length * sizeof(AttentionWork), (nuint)dk.Stride, (nuint)dv.Stride, (nuint)dOutput.Stride, (nuint)q.Stride,
            (nuint)k.Stride, (nuint)v.Stride, (nuint)q.Rows, heads, keyHeads);
        if (tiled && _images.HasWarpgroups)
        {
            WarpgroupBackward(keyArgs, keyWorks, queryArgs, queryWorks, dOutput, q, k, v, d);
        }
        else if (tiled)
        {
            uint keyBytes = (uint)((2 * KeyKernelKeys + 4 * KeyKernelQueries) * d * sizeof(ushort) + 2 * KeyKernelQueries * TermBytes);
            Kernel("attention", $"attention_backward_key_{suffix}").Launch(_stream, Items(keyWorks, keyHeads), KeyKernelThreads, keyArgs, keyBytes);
            uint queryBytes = (uint)(4 * QueryKernelKeys * d * sizeof(ushort));
            Kernel("attention", $"attention_backward_query_{suffix}").Launch(_stream, Items(queryWorks, heads), QueryKernelThreads, queryArgs, queryBytes);
        }
        else
        {
            Kernel("attention", $"attention_rows_backward_key_{suffix}")
                .Launch(_stream, Items(keyWorks, keyHeads), AttentionRowThreads, new RowArgs<AttentionBackwardKeyArgs>(keyArgs, d));
            Kernel("attention", $"attention_rows_backward_query_{suffix}")
                .Launch(_stream, Items(queryWorks, heads), AttentionRowThreads, new RowArgs<AttentionBackwardQueryArgs>(queryArgs, d));
        }
    }

    private ForwardWorks WorksOf(AttentionLayout layout, bool tiled)
    {
        if (_forwardWorks is { } last && ReferenceEquals(last.Layout, layout) && last.Tiled == tiled)
            return last;
        AttentionWork[] tiles = tiled ? AttentionWork.OfQueries(layout.Sequences.Where(s => s.QueryCount > FewQueries), ForwardQueries) : [];
        AttentionWork[] rows = AttentionWork.OfQueries(layout.Sequences.Where(s => !tiled || s.QueryCount <= FewQueries), RowsOfWork);
        DeviceMemory memory = Upload(tiles, rows);
        _forwardWorks?.Memory.Dispose();
        return _forwardWorks = new ForwardWorks(layout, tiled, tiles, rows, memory);
    }

    private static void RequireHeadSize(AttentionLayout layout)
    {
        if (layout.HeadDimension > LargestHead)
            throw new NotSupportedException($"attention heads of {layout.HeadDimension} elements: the GPU takes up to {LargestHead}; use --device cpu");
    }

    private static bool SuitsTensorCores(int headDimension, params ReadOnlySpan<Tensor> tensors)
    {
        bool suits = headDimension is 64 or 128;
        foreach (Tensor tensor in tensors)
            suits &= tensor.Type == DType.BF16 && tensor.Address % PackBytes == 0 && tensor.Stride * sizeof(ushort) % PackBytes == 0;
        return suits;
    }

    private static string RowKernel(DType type, int headDimension) =>
        $"{(type == DType.BF16 ? "bf16" : "f32")}_d{(headDimension <= SmallHead ? SmallHead : LargestHead)}";

    private static int Items(AttentionWork[] works, int heads) => checked(works.Length * heads);

    /// <summary>Two lists behind each other in device memory.</summary>
    private DeviceMemory Upload(AttentionWork[] first, AttentionWork[] second)
    {
        AttentionWork[] works = [.. first, .. second];
        DeviceMemory memory = Scratch((long)works.Length * sizeof(AttentionWork));
        fixed (AttentionWork* source = works)
            _staging.Upload(source, memory.Address, memory.Bytes);
        return memory;
    }

    /// <summary>The works of one layout in device memory: tiles, then rows.</summary>
    private sealed record ForwardWorks(AttentionLayout Layout, bool Tiled, AttentionWork[] Tiles, AttentionWork[] Rows, DeviceMemory Memory);

    private readonly record struct RowArgs<TArgs>(TArgs Args, int Dimension) where TArgs : unmanaged;

    private readonly record struct AttentionArgs(
        nint Output, nint LogSumExp, nint Q, nint K, nint V, nint Works, nuint OutputStride, nuint LogSumExpStride, nuint QStride, nuint KStride,
        nuint VStride, int Heads, int KeyHeads);

    private readonly record struct AttentionTermsArgs(
        nint Terms, nint DOutput, nint Output, nint LogSumExp, nuint DOutputStride, nuint OutputStride, nuint LogSumExpStride, int Tokens, int Heads,
        int Dimension);

    private readonly record struct AttentionBackwardQueryArgs(
        nint Dq, nint DOutput, nint Q, nint K, nint V, nint Terms, nint Works, nuint DqStride, nuint DOutputStride, nuint QStride, nuint KStride,
        nuint VStride, nuint TermsStride, int Heads, int KeyHeads);

    private readonly record struct AttentionBackwardKeyArgs(
        nint Dk, nint Dv, nint DOutput, nint Q, nint K, nint V, nint Terms, nint Works, nuint DkStride, nuint DvStride, nuint DOutputStride, nuint QStride,
        nuint KStride, nuint VStride, nuint TermsStride, int Heads, int KeyHeads);
}
