using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Tests.Compute.Reference;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Sums of up to 4160 products in float32, cut by tensor cores: 1.2e-7 · √4160 for the largest of many.
    private const double TrellisSumTolerance = 8e-6;

    // Above 8 rows a backend may round the weights to 8 bits: 2⁻⁹/√3 of each of the products, ten times that for the largest of some thousand.
    private const double TrellisRoundedTolerance = 10.0 / 512 / 1.7;

    private static IEnumerable<OperationCase> Trellis => [.. EncodeCases, .. DecodeTilesCases, .. DecodeMatrixCases, .. TrellisMatMulCases];

    // Encoded states are equal on every backend, so any difference fails.
    private static IEnumerable<OperationCase> EncodeCases =>
        from codebook in new[]
        {
            TrellisCodes.Hybrid(2), TrellisCodes.Hybrid(3), TrellisCodes.Hybrid(4),
            TrellisCodes.MultipliedSums(1), TrellisCodes.OneMad(2), TrellisCodes.MultiplicativeCongruence(3), TrellisCodes.ThreeInstructions(6),
        }
        from tiles in codebook.Vector == 2 ? new[] { 1, 3 } : [3]
        let window = tiles == 1 ? TailBitingWindow.Full : TailBitingWindow.Half
        select new OperationCase("trellis", $"EncodeTiles {codebook.Name} K={codebook.Bits} {tiles} tiles, window {window.Weights}", 0, backend =>
        {
            float[] weights = TrellisOperands.Normal(tiles * TrellisCodebook.TileSize);
            ushort[] expected = new ushort[tiles * codebook.Steps], actual = new ushort[expected.Length];
            for (int tile = 0; tile < tiles; tile++)
                Viterbi.Encode(codebook, window, weights.AsSpan(tile * 256, 256), expected.AsSpan(tile * codebook.Steps, codebook.Steps));
            Tensor targets = backend.Allocate(DType.F32, tiles, 256), states = backend.Allocate(DType.U16, tiles, codebook.Steps);
            backend.Upload<float>(weights, targets);
            double visits = (256 + 2 * window.Weights) / codebook.Vector * (double)TrellisCodebook.States * tiles;
            return new(
                () => backend.EncodeTiles(codebook, window, targets, states),
                () =>
                {
                    backend.Download<ushort>(states, actual);
                    return expected.Zip(actual).Count(pair => pair.First != pair.Second);
                },
                7 * visits, targets.Bytes + states.Bytes, () => TrellisOperands.Release(targets, states));
        });

    private static IEnumerable<OperationCase> DecodeTilesCases =>
        from codebook in new[] { TrellisCodes.Hybrid(2), TrellisCodes.Hybrid(4), TrellisCodes.MultipliedSums(3) }
        select new OperationCase("trellis", $"DecodeTiles {codebook.Name} K={codebook.Bits} 5 tiles", 0, backend =>
        {
            ushort[] rings = TrellisPackingTests.RandomRings(codebook, 5);
            float[] expected = new float[5 * 256];
            codebook.Decode(rings, expected);
            Tensor states = backend.Allocate(DType.U16, 5, codebook.Steps), values = backend.Allocate(DType.F32, 5, 256);
            backend.Upload<ushort>(rings, states);
            return new(
                () => backend.DecodeTiles(codebook, states, values), () => TrellisOperands.LargestError(backend, values, expected),
                0, states.Bytes + values.Bytes, () => TrellisOperands.Release(states, values));
        });

    // A codeword is a float16: exact in F32 and F16, rounded to 8 bits in BF16; relative to the root mean square, for numbers up to 4.
    private static IEnumerable<OperationCase> DecodeMatrixCases =>
        from format in TrellisOperands.Formats
        from type in new[] { DType.F32, DType.F16, DType.BF16 }
        select new OperationCase(
            "trellis", $"DecodeMatrix {format.Codebook.Name} K={format.Codebook.Bits} {format.Layout} 64x96 {type}", type == DType.BF16 ? 4.0 / 256 : 0, backend =>
        {
            var (weights, expected) = TrellisOperands.RandomMatrix(backend, format.Codebook, format.Layout, 64, 96);
            Tensor dense = backend.Allocate(type, 64, 96);
            return new(
                () => backend.DecodeMatrix(weights, dense), () => TrellisOperands.LargestError(backend, dense, expected),
                0, weights.Codes.Bytes + dense.Bytes, () => TrellisOperands.Release(weights.Codes, dense));
        });

    // Inputs have 8 bits, so that no backend rounds them. 4352 rows are several rows of tiles for each block of a GPU.
    private static IEnumerable<OperationCase> TrellisMatMulCases =>
        from shape in new[]
        {
            (1, 32, 32), (1, 192, 576), (1, 32, 4160), (1, 4352, 32), (2, 4352, 32), (3, 64, 288), (8, 32, 64), (8, 96, 2208), (9, 160, 96), (33, 288, 64),
        }
        from format in TrellisOperands.Formats
        where format.Codebook.Vector == 2 || shape is (1, 32, 4160) or (_, 4352, _) or (3, _, _) or (33, _, _)
        let tolerance = shape.Item1 <= 8 ? TrellisSumTolerance : TrellisRoundedTolerance
        select new OperationCase("trellis", $"TrellisMatMul {shape} {format.Codebook.Name} K={format.Codebook.Bits} {format.Layout}", tolerance, backend =>
        {
            var (tokens, rows, columns) = shape;
            var (weights, dense) = TrellisOperands.RandomMatrix(backend, format.Codebook, format.Layout, rows, columns);
            float[] inputs = [.. TrellisOperands.Normal(tokens * columns).Select(v => MathF.Round(v * 64) / 64)], expected = new float[tokens * rows];
            Tensor x = backend.Allocate(DType.F32, tokens, columns), y = backend.Allocate(DType.F32, tokens, rows);
            backend.Upload<float>(inputs, x);
            for (int i = 0; i < expected.Length; i++)
            {
                double sum = 0;
                for (int c = 0; c < columns; c++)
                    sum += (double)inputs[i / rows * columns + c] * dense[i % rows * columns + c];
                expected[i] = (float)sum;
            }
            return new(
                () => backend.TrellisMatMul(x, weights, y), () => TrellisOperands.LargestError(backend, y, expected),
                2.0 * tokens * rows * columns, weights.Codes.Bytes + x.Bytes + y.Bytes, () => TrellisOperands.Release(weights.Codes, x, y));
        });
}
