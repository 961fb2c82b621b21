using System.Buffers;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace FastKron.Native.Compute.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Rows of x up to which tiles are multiplied as they are decoded; above, strips of the matrix are decoded for <see cref="MatMul"/>.</summary>
    private const int FewRows = 8;

    /// <summary>Output rows decoded at a time for <see cref="MatMul"/>.</summary>
    private const int StripRows = 128;

    /// <summary>Columns decoded at a time for few rows of x: 16 rows of them fill half of a 32 KB cache.</summary>
    private const int ChunkColumns = 256;

    // Encoders live as long as their codebooks.
    private static readonly ConditionalWeakTable<TrellisCodebook, ViterbiEncoder> Encoders = [];

    /// <inheritdoc/>
    public void EncodeTiles(TrellisCodebook codebook, TailBitingWindow window, Tensor targets, Tensor states, CostPrecision costs = CostPrecision.Exact)
    {
        TrellisArguments.PathTiles(onHost: true, codebook, targets, states);
        int windowSteps = window.Steps(codebook);
        for (int tile = 0; tile < targets.Rows; tile++)
            Viterbi.CheckTargets(targets.Row<float>(tile), tile);

        ViterbiEncoder encoder = Encoders.GetValue(codebook, static codebook => new ViterbiEncoder(codebook));
        For(targets.Rows, tile => encoder.Encode(windowSteps, targets.Row<float>(tile), states.Row<ushort>(tile)));
    }

    /// <inheritdoc/>
    public void DecodeTiles(TrellisCodebook codebook, Tensor states, Tensor values)
    {
        TrellisArguments.PathTiles(onHost: true, codebook, values, states);
        for (int tile = 0; tile < states.Rows; tile++)
            codebook.Decode(states.Row<ushort>(tile), values.Row<float>(tile));
    }

    /// <inheritdoc/>
    public void DecodeMatrix(TrellisMatrix weights, Tensor dense)
    {
        TrellisArguments.DecodeMatrix(onHost: true, weights, dense);
        RequireDecodable(weights);
        For(weights.Rows / 16, tileRow =>
        {
            Tensor band = dense.SliceRows(16 * tileRow, 16);
            if (dense.Type == DType.F32)
            {
                DecodeBand(weights, tileRow, 0, weights.Columns, (float*)band.Address, band.Stride);
                return;
            }
            float[] scratch = ArrayPool<float>.Shared.Rent(16 * weights.Columns);
            fixed (float* decoded = scratch)
            {
                DecodeBand(weights, tileRow, 0, weights.Columns, decoded, weights.Columns);
                for (int row = 0; row < 16; row++)
                {
                    byte* destination = (byte*)band.Address + row * band.Stride * band.Type.Size();
                    ElementConversion.Convert(DType.F32, decoded + row * weights.Columns, band.Type, destination, weights.Columns);
                }
            }
            ArrayPool<float>.Shared.Return(scratch);
        });
    }

    /// <inheritdoc/>
    public void TrellisMatMul(Tensor x, TrellisMatrix weights, Tensor y)
    {
        TrellisArguments.MatMul(onHost: true, x, weights, y);
        RequireDecodable(weights);
        if (x.Rows <= FewRows)
        {
            For(weights.Rows / 16, tileRow => MultiplyBand(x, weights, tileRow, y));
            return;
        }

        using Tensor strip = Tensor.AllocateHost(DType.F32, Math.Min(StripRows, weights.Rows), weights.Columns);
        for (int row = 0; row < weights.Rows; row += StripRows)
        {
            Tensor part = strip.SliceRows(0, Math.Min(StripRows, weights.Rows - row));
            int firstTileRow = row / 16;
            For(part.Rows / 16, band =>
                DecodeBand(weights, firstTileRow + band, 0, weights.Columns, (float*)part.Address + band * 16 * part.Stride, part.Stride));
            MatMul(x, transposeA: false, part, transposeB: true, y.SliceColumns(row, part.Rows));
        }
    }

    // y[:, 16 rows of the matrix] = x · bandᵀ; the order of each sum depends on nothing but the columns.
    private static void MultiplyBand(Tensor x, TrellisMatrix weights, int tileRow, Tensor y)
    {
        float* decoded = stackalloc float[16 * ChunkColumns];
        for (int column = 0; column < weights.Columns; column += ChunkColumns)
        {
            int width = Math.Min(ChunkColumns, weights.Columns - column);
            DecodeBand(weights, tileRow, column, width, decoded, ChunkColumns);
            for (int t = 0; t < x.Rows; t++)
            {
                ReadOnlySpan<float> input = x.Row<float>(t).Slice(column, width);
                Span<float> output = y.Row<float>(t).Slice(16 * tileRow, 16);
                for (int row = 0; row < 16; row++)
                {
                    float product = TensorPrimitives.Dot(input, new ReadOnlySpan<float>(decoded + row * ChunkColumns, width));
                    output[row] = column == 0 ? product : output[row] + product;
                }
            }
        }
    }

    private static void DecodeBand(TrellisMatrix weights, int tileRow, int column, int width, float* destination, nint stride)
    {
        fixed (float* values = weights.Codebook.Values.Span)
        {
            var decoder = new TrellisDecoder(weights, values);
            for (int tile = 0; tile < width / 16; tile++)
                decoder.Decode(tileRow, column / 16 + tile, destination + 16 * tile, stride);
        }
    }

    private static void RequireDecodable(TrellisMatrix weights)
    {
        TrellisCodebook code = weights.Codebook;
        bool supported = code.Vector == 2 ? code.Bits is >= 2 and <= 4 : code.Vector == 1 && code.Bits is >= 1 and <= 8 && weights.Layout == TrellisLayout.QtipPlain;
        if (!supported)
        {
            throw new NotSupportedException($"decoding {code.Name}, V = {code.Vector}, at {code.Bits} bits in layout {weights.Layout} on the CPU; "
                + $"supported: V = 2 at 2, 3, 4 bits, V = 1 at 1 to 8 bits in {TrellisLayout.QtipPlain}");
        }
    }
}
