using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    // kernels/trellis.cu
    private const int DecodeThreads = 256, DecodeWarps = DecodeThreads / 32, MatMulWarps = 16, MatMulThreads = 32 * MatMulWarps;
    private const int HybridEntries = 512, TokenInputBytes = (128 + 32) * sizeof(ushort), CodeAlignment = 16, InputAlignment = 16;

    /// <summary>Rows of x up to which tiles are multiplied as they are decoded; above, strips of the matrix are decoded for <see cref="MatMul"/>.</summary>
    private const int FewRows = 8;

    /// <summary>Bytes of the strips that are decoded for <see cref="MatMul"/>.</summary>
    private const long StripBytes = 64 << 20;

    private readonly Dictionary<ReadOnlyMemory<ushort>, DeviceMemory> _tables = [];

    /// <inheritdoc/>
    public void DecodeMatrix(TrellisMatrix weights, Tensor dense)
    {
        Enter();
        TrellisArguments.DecodeMatrix(onHost: false, weights, dense);
        DecodeRows(weights, 0, dense);
    }

    /// <inheritdoc/>
    public void TrellisMatMul(Tensor x, TrellisMatrix weights, Tensor y)
    {
        Enter();
        TrellisArguments.MatMul(onHost: false, x, weights, y);
        if (x.Rows == 0)
            return;
        if (x.Rows <= FewRows)
        {
            MultiplyFew(x, weights, y);
            return;
        }

        int unit = TrellisPacking.Granularity(weights.Layout);
        int rows = (int)Math.Min(weights.Rows, Math.Max(1, StripBytes / ((long)weights.Columns * ActivationType.Size() * unit)) * unit);
        using Tensor strip = Allocate(ActivationType, rows, weights.Columns), narrow = Allocate(ActivationType, x.Rows, x.Columns);
        Convert(x, narrow);
        for (int row = 0; row < weights.Rows; row += rows)
        {
            Tensor part = strip.SliceRows(0, Math.Min(rows, weights.Rows - row));
            DecodeRows(weights, row, part);
            MatMul(narrow, transposeA: false, part, transposeB: true, y.SliceColumns(row, part.Rows));
        }
    }

    // The order of a row's sums depends on the columns alone, so that its result does not depend on the other rows or the device.
    private void MultiplyFew(Tensor x, TrellisMatrix weights, Tensor y)
    {
        int tokens = x.Rows == 1 ? 1 : FewRows;
        using Tensor? alignedCodes = AlignedCodes(weights), alignedInputs = AlignedInputs(x);
        Tensor inputs = alignedInputs ?? x;
        nint codes = (alignedCodes ?? weights.Codes).Address;
        CudaKernel kernel = TrellisKernel(weights, "matmul", $"rows{tokens}");
        bool hybrid = weights.Codebook.Vector == 2;

        // FewRowsHybridCode: a copy of the entries of both signs for every lane, or 16 copies of one where multiprocessors may have 99 KB.
        int tableBytes = !hybrid ? 0 : _images.HasWarpgroups ? 2 * HybridEntries * 32 * sizeof(uint) : HybridEntries * 16 * sizeof(uint);
        uint shared = (uint)(tableBytes + MatMulWarps * tokens * TokenInputBytes);
        int blocks = Math.Min(weights.Rows / TrellisPacking.Granularity(weights.Layout), _multiprocessors);
        if (hybrid)
            kernel.Launch(_stream, blocks, MatMulThreads, Arguments(TableAddress(weights.Codebook)), shared);
        else
            kernel.Launch(_stream, blocks, MatMulThreads, Arguments(Computed(weights.Codebook)), shared);

        FewRowsArgs<TCode> Arguments<TCode>(TCode code) where TCode : unmanaged => new(
            y.Address, (nuint)y.Stride, inputs.Address, (nuint)inputs.Stride, codes, x.Rows, weights.Rows, weights.Columns, code);
    }

    // dense ← the rows of Ŵ from firstRow on, as many as dense has.
    private void DecodeRows(TrellisMatrix weights, int firstRow, Tensor dense)
    {
        // A warp decodes 2 x 2 tiles, or four of a row; a lane stores 2 or 8 adjacent elements.
        (int unitRows, int unitColumns, int adjacent) = weights.Layout == TrellisLayout.QtipKernel ? (32, 32, 2) : (16, 64, 8);
        string type = dense.Type switch { DType.F32 => "f32", DType.BF16 => "bf16", _ => "f16" };
        bool vectors = dense.Address % Math.Min(adjacent * dense.Type.Size(), PackBytes) == 0 && dense.Stride % adjacent == 0;
        long units = (long)(dense.Rows / unitRows) * ((weights.Columns + unitColumns - 1) / unitColumns);
        int blocks = (int)Math.Min((units + DecodeWarps - 1) / DecodeWarps, _multiprocessors * DecodeWarps);
        using Tensor? aligned = AlignedCodes(weights);
        nint codes = (aligned ?? weights.Codes).Address;
        CudaKernel kernel = TrellisKernel(weights, "decode", type);
        if (weights.Codebook.Vector == 2)
            kernel.Launch(_stream, blocks, DecodeThreads, Arguments(TableAddress(weights.Codebook)));
        else
            kernel.Launch(_stream, blocks, DecodeThreads, Arguments(Computed(weights.Codebook)));

        DecodeArgs<TCode> Arguments<TCode>(TCode code) where TCode : unmanaged => new(
            dense.Address, (nuint)dense.Stride, codes, firstRow, dense.Rows, weights.Columns, vectors ? 1 : 0, code);
    }

    // The kernels load codes as vectors. Those of a model are whole allocations; a slice that begins elsewhere is copied.
    private Tensor? AlignedCodes(TrellisMatrix weights)
    {
        if (weights.Codes.Address % CodeAlignment == 0)
            return null;
        Tensor copy = Allocate(DType.U16, weights.Codes.Rows, weights.Codes.Columns);
        Convert(weights.Codes, copy);
        return copy;
    }

    private Tensor? AlignedInputs(Tensor x)
    {
        if (x.Address % InputAlignment == 0 && x.Stride * sizeof(float) % InputAlignment == 0)
            return null;
        Tensor copy = Allocate(DType.F32, x.Rows, x.Columns);
        Convert(x, copy);
        return copy;
    }

    private CudaKernel TrellisKernel(TrellisMatrix weights, string operation, string variant)
    {
        (TrellisCodebook codebook, bool kernelLayout) = (weights.Codebook, weights.Layout == TrellisLayout.QtipKernel);
        string? code = (codebook.Name, codebook.Vector, codebook.Bits) switch
        {
            ("quantlut_sym", 2, >= 2 and <= 4) when codebook.Table.Length == 2 * HybridEntries => "hyb",
            ("3inst" or "mcg", 1, >= 1 and <= 8) when !kernelLayout => "pairs",
            ("1mad" or "mul1", 1, >= 1 and <= 8) when !kernelLayout => "sums",
            _ => null,
        };
        if (code is null)
        {
            throw new NotSupportedException(
                $"decoding {codebook.Name}, V = {codebook.Vector}, at {codebook.Bits} bits in layout {weights.Layout} on the GPU; supported: quantlut_sym (HYB) with "
                + $"{HybridEntries} entries at 2, 3, 4 bits, and 1mad, 3inst, mcg, mul1 at 1 to 8 bits in {TrellisLayout.QtipPlain}");
        }
        return Kernel("trellis", $"trellis_{operation}_{code}_k{codebook.Bits}_{(kernelLayout ? "kernel" : "plain")}_{variant}");
    }

    // A codebook's table in device memory, uploaded once.
    private nint TableAddress(TrellisCodebook codebook)
    {
        lock (_tables)
        {
            if (!_tables.TryGetValue(codebook.Table, out DeviceMemory? memory))
            {
                ReadOnlySpan<ushort> table = codebook.Table.Span;
                memory = _heap.Allocate(table.Length * sizeof(ushort));
                _tables.Add(codebook.Table, memory);
                using var view = new CudaDeviceVariable<ushort>(memory.Address, table.Length);
                view.CopyToDevice(table, _stream);
            }
            return memory.Address;
        }
    }

    private void DisposeTables()
    {
        foreach (DeviceMemory memory in _tables.Values)
            memory.Dispose();
    }

    // trellis-formats-and-kernels.md section 1.1. Scales of byte sums have at most 22 bits, so that their products with the 1.5 · 2²³ of the kernels are exact.
    // 1MAD's is the one next to 1 / 147.8; its products give the same float16 as (B − 510) / 147.8 for every B.
    private static ComputedCode Computed(TrellisCodebook codebook) => codebook.Name switch
    {
        "1mad" => Sums(34038481, 76625530, origin: 510, scale: 0.006765876f, offset: 0),
        "mul1" => Sums(0x83DCD12D, 0, origin: -1024, (float)BitConverter.UInt16BitsToHalf(0x1EEE), (float)BitConverter.UInt16BitsToHalf(0xC931)),
        "mcg" => new(0xCBAC1FED, 0, 0, 0, 0),
        _ => new(89226354, 64248484, 0, 0, 0),
    };

    // (B − origin) · scale + offset of the sum B of bytes.
    private static ComputedCode Sums(uint multiplier, uint addend, int origin, float scale, float offset)
    {
        const float Base = 1.5f * (1 << 23);
        return new(multiplier, addend, BitConverter.SingleToUInt32Bits(Base - origin), scale, offset - Base * scale);
    }

    // x = s · Multiplier + Addend; of byte sums B, (SumBits + B as float32) · Scale + Offset.
    private readonly record struct ComputedCode(uint Multiplier, uint Addend, uint SumBits, float Scale, float Offset);

    private readonly record struct DecodeArgs<TCode>(
        nint Dense, nuint Stride, nint Codes, int FirstRow, int Rows, int Columns, int Aligned, TCode Code) where TCode : unmanaged;

    private readonly record struct FewRowsArgs<TCode>(
        nint Y, nuint YStride, nint X, nuint XStride, nint Codes, int Tokens, int Rows, int Columns, TCode Code) where TCode : unmanaged;
}
