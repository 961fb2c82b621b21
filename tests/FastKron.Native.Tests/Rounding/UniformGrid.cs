using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Rounding;

namespace FastKron.Native.Tests.Rounding;

/// <summary>Rounds every weight to the nearest integer: a quantizer that treats rows and columns alike and has a known largest error, ½.</summary>
internal sealed class UniformGrid(IBackend backend, int matrices, int rows, int columns, TrellisLayout layout = TrellisLayout.QtipPlain) : ITileQuantizer
{
    public TrellisLayout Layout => layout;

    /// <summary>T, the targets of all tiles, of each matrix.</summary>
    public DenseMatrix[] Targets { get; } = [.. Enumerable.Range(0, matrices).Select(_ => new DenseMatrix(rows, columns))];

    public static double Round(double value) => Math.Round(value, MidpointRounding.ToEven);

    public void Quantize(TileDiagonal diagonal, Tensor targets, Tensor values)
    {
        float[] numbers = new float[targets.Length];
        backend.Download<float>(targets, numbers);
        ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
        for (int i = 0; i < numbers.Length; i++)
        {
            (int item, int step) = Math.DivRem(i, TrellisCodebook.TileSize);
            (int matrix, int t) = Math.DivRem(item, diagonal.Count);
            Targets[matrix][16 * (diagonal.Row + t) + order[step] / 16, 16 * (diagonal.Column - t) + order[step] % 16] = numbers[i];
        }
        backend.Upload<float>(Array.ConvertAll(numbers, v => (float)Round(v)), values);
    }
}
