using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    // kernels/trellis.cu
    private const int DecodeThreads = 256, DecodeWarps = DecodeThreads / 32, HybridEntries = 512, HybridBits = 16;

    /// <summary>Rows of x up to which tiles are multiplied as they are decoded; above, strips of the matrix are decoded for <see cref="MatMul"/>.</summary>
    private const int FewRows = 8;

    /// <summary>Bytes of the strips that are decoded for <see cref="MatMul"/>.</summary>
    private const long StripBytes = 64 << 20;

    /// <summary>With few rows: blocks wanted for each multiprocessor, and units that each warp of a block must still have.</summary>
    private const int MatMulBlocks = 4, MatMulUnits = 2;

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
        if (x.Type is not (DType.F32 or DType.BF16))
            throw new ArgumentException($"{nameof(x)}: expected F32 or BF16, found {x}", nameof(x));
        if (x.Rows == 0)
            return;
        if (x.Rows <= FewRows)
        {
            MultiplyFew(x, weights, y);
            return;
        }

        int unit = TrellisPacking.Granularity(weights.Layout);
        int rows = (int)Math.Min(weights.Rows, Math.Max(1, StripBytes / ((long)weights.Columns * x.Type.Size() * unit)) * unit);
        using Tensor strip = Allocate(x.Type, rows, weights.Columns);
        for (int row = 0; row < weights.Rows; row += rows)
        {
            Tensor part = strip.SliceRows(0, Math.Min(rows, weights.Rows - row));
            DecodeRows(weights, row, part);
            MatMul(x, transposeA: false, part, transposeB: true, y.SliceColumns(row, part.Rows));
        }
    }

    // The columns are cut into slices so that every multiprocessor has work. The cuts depend on the matrix and the device alone, so that a row's
    // result does not depend on the others.
    private void MultiplyFew(Tensor x, TrellisMatrix weights, Tensor y)
    {
        int unit = TrellisPacking.Granularity(weights.Layout), unitRows = weights.Rows / unit, unitColumns = weights.Columns / unit;
        int wanted = Ceiling(MatMulBlocks * _multiprocessors, unitRows), most = Math.Max(1, unitColumns / (MatMulUnits * DecodeWarps));
        int sliceColumns = Ceiling(unitColumns, Math.Min(wanted, most)), slices = Ceiling(unitColumns, sliceColumns);
        string type = x.Type == DType.F32 ? "f32" : "bf16";
        using DeviceMemory? sums = slices > 1 ? Scratch((long)slices * x.Rows * weights.Rows * sizeof(float)) : null;
        var args = new FewRowsArgs(
            y.Address, (nuint)y.Stride, x.Address, (nuint)x.Stride, weights.Codes.Address, sums?.Address ?? 0, x.Rows, unitColumns, sliceColumns,
            CodesAligned(weights), Table(weights.Codebook, "decoding"));
        Kernel("trellis", $"trellis_matmul_k{weights.Codebook.Bits}_{LayoutName(weights)}_rows{(x.Rows == 1 ? 1 : FewRows)}_{type}")
            .Launch(_stream, new dim3((uint)unitRows, (uint)slices), DecodeThreads, args);
        if (sums is not null)
        {
            Kernel("trellis", $"trellis_add_slices_{type}").Launch(
                _stream, new dim3((uint)Ceiling(weights.Rows, DecodeThreads), (uint)x.Rows), DecodeThreads,
                new AddSlicesArgs(y.Address, (nuint)y.Stride, sums.Address, weights.Rows, slices));
        }
    }

    // dense ← the rows of Ŵ from firstRow on, as many as dense has.
    private void DecodeRows(TrellisMatrix weights, int firstRow, Tensor dense)
    {
        int unit = TrellisPacking.Granularity(weights.Layout), unitRows = dense.Rows / unit, unitColumns = weights.Columns / unit;
        (string type, int pair) = dense.Type switch { DType.F32 => ("f32", 8), DType.BF16 => ("bf16", 4), _ => ("f16", 4) };
        bool paired = dense.Address % pair == 0 && dense.Stride % 2 == 0;
        long blocks = ((long)unitRows * unitColumns + DecodeWarps - 1) / DecodeWarps;
        Kernel("trellis", $"trellis_decode_k{weights.Codebook.Bits}_{LayoutName(weights)}_{type}").Launch(
            _stream, (int)Math.Min(blocks, _multiprocessors * DecodeWarps), DecodeThreads,
            new DecodeArgs(
                dense.Address, (nuint)dense.Stride, weights.Codes.Address, firstRow / unit, unitRows, unitColumns, CodesAligned(weights), paired ? 1 : 0,
                Table(weights.Codebook, "decoding")));
    }

    // Lane records of the kernel layout are 4·K bytes and are loaded as vectors of 8, 4 or 16 bytes.
    private static int CodesAligned(TrellisMatrix weights) => weights.Codes.Address % (weights.Codebook.Bits switch { 2 => 8, 3 => 4, _ => 16 }) == 0 ? 1 : 0;

    private static string LayoutName(TrellisMatrix weights) => weights.Layout == TrellisLayout.QtipKernel ? "kernel" : "plain";

    private static HybridTable Table(TrellisCodebook codebook, string doing)
    {
        if (codebook.Name != "quantlut_sym" || codebook.Vector != 2 || codebook.Bits is < 2 or > 4 || codebook.Table.Length != 2 * HybridEntries)
        {
            throw new NotSupportedException(
                $"{doing} {codebook.Name} at {codebook.Bits} bits on the GPU; supported: quantlut_sym (HYB) with {HybridEntries} entries at 2, 3, 4 bits");
        }
        var table = default(HybridTable);
        ReadOnlySpan<ushort> numbers = codebook.Table.Span;
        for (int i = 0; i < HybridEntries; i++)
            table[i] = numbers[2 * i] | (uint)numbers[2 * i + 1] << HybridBits;
        return table;
    }

    [InlineArray(HybridEntries)]
    private struct HybridTable
    {
        private uint _first;
    }

    private readonly record struct DecodeArgs(
        nint Dense, nuint Stride, nint Codes, int FirstUnitRow, int UnitRows, int UnitColumns, int Aligned, int Paired, HybridTable Table);

    private readonly record struct FewRowsArgs(
        nint Y, nuint YStride, nint X, nuint XStride, nint Codes, nint Sums, int Tokens, int UnitColumns, int SliceColumns, int Aligned, HybridTable Table);

    private readonly record struct AddSlicesArgs(nint Y, nuint YStride, nint Sums, int Rows, int Slices);
}
