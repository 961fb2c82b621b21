using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Rounding;

namespace FastKron.Native.Tests.Rounding;

/// <summary>Rounds every weight to the nearest integer: a quantizer that treats rows and columns alike and has a known largest error, ½.</summary>
internal sealed class UniformGrid(IBackend backend, int rows, int columns, TrellisLayout layout = TrellisLayout.QtipPlain) : ITileQuantizer, IDisposable
{
    private readonly Tensor _targets = backend.Allocate(DType.F32, rows, columns);

    public TrellisLayout Layout => layout;

    /// <summary>T, the targets of all tiles.</summary>
    public DenseMatrix Targets => DenseMatrix.Download(backend, _targets);

    public static double Round(double value) => Math.Round(value, MidpointRounding.ToEven);

    public void Quantize(TileDiagonal diagonal, Tensor targets, Tensor values)
    {
        backend.ScatterTiles(targets, diagonal, layout, _targets, accumulate: false);
        float[] numbers = new float[targets.Length];
        backend.Download<float>(targets, numbers);
        backend.Upload<float>(Array.ConvertAll(numbers, v => (float)Round(v)), values);
    }

    public void Dispose() => _targets.Dispose();
}
