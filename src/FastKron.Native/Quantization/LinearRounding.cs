using System.Runtime.ExceptionServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;

namespace FastKron.Native.Quantization;

/// <summary>Rounds linears of a model with their factors, those of one shape together.</summary>
/// <param name="backend">Where.</param>
/// <param name="folder">The dense model.</param>
/// <param name="settings">How each matrix is rounded.</param>
/// <param name="factors">Factors of a linear, which the rounding disposes; null where every weight counts the same. Called from several threads.</param>
internal sealed class LinearRounding(IBackend backend, ModelFolder folder, LinearQuantizerOptions settings, Func<LinearShape, KroneckerFactors?> factors)
{
    /// <summary>Rounds.</summary>
    /// <param name="linears">Which, in model order.</param>
    /// <param name="accept">Is given each result once, batch by batch.</param>
    /// <param name="cancellationToken">Checked many times a second.</param>
    /// <returns>Seconds of the device by phase.</returns>
    /// <remarks>While a device rounds one batch, the results of the batch before it are accepted and the factors of the next are read.</remarks>
    public IReadOnlyDictionary<RoundingPhase, double> Run(IEnumerable<LinearShape> linears, Action<LinearShape, RoundedLinear> accept, CancellationToken cancellationToken)
    {
        using var clock = new StageClock<RoundingPhase>(backend);
        var quantizer = new LinearQuantizer(backend, settings) { Clock = clock };
        Work? rounding = null;
        IReadOnlyList<LinearShape> members = [];
        try
        {
            foreach (IReadOnlyList<LinearShape> next in Batches(quantizer, linears).Append([]))
            {
                cancellationToken.ThrowIfCancellationRequested();
                KroneckerFactors?[] fitted = Read(next);
                IReadOnlyList<RoundedLinear> results = rounding?.Batch.Collect() ?? [];
                rounding?.Dispose();
                rounding = null;
                if (next.Count > 0)
                {
                    rounding = Prepare(quantizer, next, fitted, cancellationToken);
                    rounding.Batch.Round(cancellationToken);
                }
                foreach ((LinearShape linear, RoundedLinear result) in members.Zip(results))
                    accept(linear, result);
                members = next;
            }
            return clock.Read();
        }
        finally
        {
            rounding?.Dispose();
        }
    }

    /// <summary>What is rounded together. Neighbours in the model stay neighbours, so that what is finished early is the model's beginning.</summary>
    public static IEnumerable<IReadOnlyList<LinearShape>> Batches(LinearQuantizer quantizer, IEnumerable<LinearShape> linears) =>
        linears.GroupBy(l => (l.Rows, l.Columns)).SelectMany(shape => shape.Chunk(quantizer.BatchSize(shape.Count(), shape.Key.Rows, shape.Key.Columns))).OrderBy(batch => batch[0].Index);

    // The first failure is thrown as it was.
    private KroneckerFactors?[] Read(IReadOnlyList<LinearShape> linears)
    {
        var read = new KroneckerFactors?[linears.Count];
        try
        {
            Parallel.For(0, read.Length, i => read[i] = factors(linears[i]));
        }
        catch (AggregateException e)
        {
            foreach (KroneckerFactors? factor in read)
                factor?.Dispose();
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
        return read;
    }

    private Work Prepare(LinearQuantizer quantizer, IReadOnlyList<LinearShape> linears, KroneckerFactors?[] fitted, CancellationToken cancellationToken)
    {
        var inputs = new List<LinearInput>(linears.Count);
        try
        {
            foreach ((LinearShape linear, KroneckerFactors? factor) in linears.Zip(fitted))
            {
                using StageClock<RoundingPhase>.Scope loading = StageClock.Enter(quantizer.Clock, RoundingPhase.Loading);
                inputs.Add(new LinearInput(linear.Name, linear.Index, folder.Load(backend, linear.Name + ".weight", linear.Rows, linear.Columns, DType.F32), factor));
            }
            return new Work(quantizer.Prepare(inputs, cancellationToken), inputs);
        }
        catch
        {
            Dispose(inputs, fitted);
            throw;
        }
    }

    private static void Dispose(IEnumerable<LinearInput> inputs, IEnumerable<KroneckerFactors?> factors)
    {
        foreach (LinearInput input in inputs)
            input.Weights.Dispose();
        foreach (KroneckerFactors? factor in factors)
            factor?.Dispose();
    }

    /// <summary>A batch and what it needs until it is collected.</summary>
    private sealed record Work(LinearBatch Batch, IReadOnlyList<LinearInput> Inputs) : IDisposable
    {
        public void Dispose()
        {
            Batch.Dispose();
            LinearRounding.Dispose(Inputs, Inputs.Select(input => input.Factors));
        }
    }
}
