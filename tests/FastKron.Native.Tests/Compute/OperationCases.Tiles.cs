using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Copies and single additions: exact.
    private static IEnumerable<OperationCase> Tiles =>
        from diagonal in new[] { new TileDiagonal(0, 0, 1), new TileDiagonal(1, 3, 3), new TileDiagonal(4, 1, 1), new TileDiagonal(0, 5, 5) }
        from layout in Enum.GetValues<TrellisLayout>()
        from accumulate in new[] { false, true }
        from gather in new[] { true, false }
        select TilesCase(diagonal, layout, accumulate, gather);

    private static OperationCase TilesCase(TileDiagonal diagonal, TrellisLayout layout, bool accumulate, bool gather)
    {
        const int Rows = 5 * 16, Columns = 6 * 16, Margin = 3;
        string name = $"{(gather ? "GatherTiles" : "ScatterTiles")} {layout} ({diagonal.Row}, {diagonal.Column}) x {diagonal.Count}{(accumulate ? " accumulate" : "")}";
        return new OperationCase("tiles", name, 0, backend =>
        {
            float[] matrixValues = new float[Rows * (Columns + Margin)], tileValues = new float[diagonal.Count * TrellisCodebook.TileSize];
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 2, matrixValues);
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 3, tileValues);
            Tensor matrix = backend.Allocate(DType.F32, Rows, Columns + Margin), tiles = backend.Allocate(DType.F32, diagonal.Count, TrellisCodebook.TileSize);
            return new OperationRun(Execute, Error, accumulate ? tiles.Length : 0, 2 * tiles.Bytes, Release);

            void Execute()
            {
                backend.Upload<float>(matrixValues, matrix);
                backend.Upload<float>(tileValues, tiles);
                if (gather)
                    backend.GatherTiles(matrix.SliceColumns(0, Columns), diagonal, layout, tiles, accumulate);
                else
                    backend.ScatterTiles(tiles, diagonal, layout, matrix.SliceColumns(0, Columns), accumulate);
            }

            double Error()
            {
                float[] expectedMatrix = [.. matrixValues], expectedTiles = [.. tileValues];
                ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
                for (int i = 0; i < tileValues.Length; i++)
                {
                    (int t, int step) = Math.DivRem(i, TrellisCodebook.TileSize);
                    int row = 16 * (diagonal.Row + t) + order[step] / 16, column = 16 * (diagonal.Column - t) + order[step] % 16;
                    ref float inMatrix = ref expectedMatrix[row * (Columns + Margin) + column];
                    (expectedTiles[i], inMatrix) = gather
                        ? (inMatrix + (accumulate ? expectedTiles[i] : 0), inMatrix)
                        : (expectedTiles[i], expectedTiles[i] + (accumulate ? inMatrix : 0));
                }
                double[] actual = [.. Doubles(backend, matrix), .. Doubles(backend, tiles)];
                return actual.Zip(expectedMatrix.Concat(expectedTiles), (a, b) => Math.Abs(a - b)).Max();
            }

            void Release()
            {
                matrix.Dispose();
                tiles.Dispose();
            }
        });
    }
}
