using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Rounds linears of a model with their factors, those of one shape together.</summary>
/// <param name="backend">Where.</param>
/// <param name="folder">The dense model.</param>
/// <param name="settings">How each matrix is rounded.</param>
/// <param name="factors">Factors of a linear, which the rounding disposes; null where every weight counts the same.</param>
internal sealed class LinearRounding(IBackend backend, ModelFolder folder, LinearQuantizerOptions settings, Func<LinearShape, KroneckerFactors?> factors)
{
    private readonly LinearQuantizer _quantizer = new(backend, settings);

    /// <summary>Rounds.</summary>
    /// <param name="linears">Which, in model order.</param>
    /// <param name="accept">Is given each result once, batch by batch.</param>
    /// <param name="cancellationToken">Checked many times a second.</param>
    /// <remarks>While a device rounds one batch, the results of the batch before it are accepted and the factors of the next are read.</remarks>
    public void Run(IEnumerable<LinearShape> linears, Action<LinearShape, RoundedLinear> accept, CancellationToken cancellationToken)
    {
        LinearBatch? rounding = null;
        IReadOnlyList<LinearShape> members = [];
        try
        {
            foreach (IReadOnlyList<LinearShape> next in Batches(linears).Append([]))
            {
                cancellationToken.ThrowIfCancellationRequested();
                KroneckerFactors?[] fitted = [.. next.Select(factors)];
                IReadOnlyList<RoundedLinear> results = rounding?.Collect() ?? [];
                rounding?.Dispose();
                rounding = null;
                if (next.Count > 0)
                {
                    rounding = Prepare(next, fitted, cancellationToken);
                    rounding.Round(cancellationToken);
                }
                foreach ((LinearShape linear, RoundedLinear result) in members.Zip(results))
                    accept(linear, result);
                members = next;
            }
        }
        finally
        {
            rounding?.Dispose();
        }
    }

    private LinearBatch Prepare(IReadOnlyList<LinearShape> linears, KroneckerFactors?[] fitted, CancellationToken cancellationToken)
    {
        var inputs = new List<LinearInput>(linears.Count);
        try
        {
            foreach ((LinearShape linear, KroneckerFactors? factor) in linears.Zip(fitted))
                inputs.Add(new LinearInput(linear.Name, linear.Index, folder.Load(backend, linear.Name + ".weight", linear.Rows, linear.Columns, DType.F32), factor));
            return _quantizer.Prepare(inputs, cancellationToken);
        }
        finally
        {
            foreach (LinearInput input in inputs)
                input.Weights.Dispose();
            foreach (KroneckerFactors? factor in fitted)
                factor?.Dispose();
        }
    }

    // Neighbours in the model stay neighbours, so that what is finished early is the model's beginning.
    private IEnumerable<IReadOnlyList<LinearShape>> Batches(IEnumerable<LinearShape> linears) =>
        linears.GroupBy(l => (l.Rows, l.Columns)).SelectMany(shape => shape.Chunk(_quantizer.BatchSize(shape.Key.Rows, shape.Key.Columns))).OrderBy(batch => batch[0].Index);
}
