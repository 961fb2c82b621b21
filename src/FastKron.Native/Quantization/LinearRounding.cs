using System.Runtime.ExceptionServices;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;

namespace FastKron.Native.Quantization;

/// <summary>Rounds linears of a model with their factors: in the order of the forward pass, each made up for what rounding did to its inputs, or on their own.</summary>
/// <param name="backend">Where.</param>
/// <param name="folder">The dense model.</param>
/// <param name="options">How each matrix is rounded.</param>
/// <param name="bitsOf">K of a linear.</param>
/// <param name="factors">Factors of a linear, which the rounding disposes; null where every weight counts the same. Called from several threads.</param>
internal sealed class LinearRounding(
    IBackend backend, ModelFolder folder, QuantizationOptions options, Func<LinearShape, int> bitsOf, Func<LinearShape, KroneckerFactors?> factors)
{
    /// <summary>Rounds.</summary>
    /// <param name="selected">All linears that are quantized, in model order.</param>
    /// <param name="waiting">Those that are not yet.</param>
    /// <param name="read">The codes of a linear that is.</param>
    /// <param name="tokens">Calibration tokens, asked for where inputs are propagated.</param>
    /// <param name="accept">Is given each result once, batch by batch.</param>
    /// <param name="cancellationToken">Checked many times a second.</param>
    /// <returns>Seconds of the device by phase.</returns>
    public IReadOnlyDictionary<RoundingPhase, double> Run(
        IReadOnlyList<LinearShape> selected, IReadOnlyList<LinearShape> waiting, Func<LinearShape, QuantizedWeights> read, Func<CalibrationSet?> tokens,
        Action<LinearShape, RoundedLinear> accept, CancellationToken cancellationToken)
    {
        using var clock = new StageClock<RoundingPhase>(backend);
        if (options.PropagatedShare == 0)
            RunByShape(waiting, accept, clock, cancellationToken);
        else if (waiting.Count > 0)
            RunInOrder(selected, waiting, read, tokens()!.Take(options.PropagatedTokens), accept, clock, cancellationToken);
        return clock.Read();
    }

    /// <summary>Shares out the average of the options so that the sum of predicted losses is least.</summary>
    /// <remarks>
    /// Two-sided feedback leaves a white residual, so a matrix's loss at K bits is known before it is rounded: the distortion of the code at K times
    /// rms²(W) tr(D_out) tr(D_in) of the damped factors, on the scale of the Fisher matrix. To second order these sum up to the divergence from the original.
    /// </remarks>
    /// <param name="linears">All that will be rounded.</param>
    /// <param name="progress">Is told the share done.</param>
    /// <param name="cancellationToken">Checked between matrices.</param>
    /// <returns>K by module path.</returns>
    /// <exception cref="InvalidDataException">Factors that are not of the loss, by which matrices cannot be compared.</exception>
    public Dictionary<string, int> Allocate(IReadOnlyList<LinearShape> linears, Action<double>? progress, CancellationToken cancellationToken)
    {
        int[] widths = [.. QuantizationOptions.Widths];
        double[] distortions = [.. widths.Select(bits => Quantizer(bits).Distortion())];
        Dictionary<string, double> losses = WhiteLosses(linears, progress, cancellationToken);
        int[] chosen = BitAllocation.Choose(
            [.. linears.Select(l => l.Weights)], [.. linears.Select(l => Array.ConvertAll(distortions, d => d * losses[l.Name]))], widths, options.Bits);
        return linears.Zip(chosen).ToDictionary(pair => pair.First.Name, pair => pair.Second, StringComparer.Ordinal);
    }

    /// <summary>What is rounded together. Neighbours in the model stay neighbours, so that what is finished early is the model's beginning.</summary>
    public static IEnumerable<IReadOnlyList<LinearShape>> Batches(LinearQuantizer quantizer, IEnumerable<LinearShape> linears) =>
        linears.GroupBy(l => (l.Rows, l.Columns)).SelectMany(shape => shape.Chunk(quantizer.BatchSize(shape.Count(), shape.Key.Rows, shape.Key.Columns))).OrderBy(batch => batch[0].Index);

    // What is quantized already is put into the model again, so that a resumed run finds the same inputs.
    private void RunInOrder(
        IReadOnlyList<LinearShape> selected, IReadOnlyList<LinearShape> waiting, Func<LinearShape, QuantizedWeights> read, IReadOnlyList<int[]> sequences,
        Action<LinearShape, RoundedLinear> accept, StageClock<RoundingPhase> clock, CancellationToken cancellationToken)
    {
        using DecoderModel model = DecoderModel.Load(folder, backend, residentBlocks: 0);
        using var sweep = new PropagationSweep(model, sequences, clock);
        int left = waiting.Count;
        for (int layer = 0; ; layer++)
        {
            sweep.Enter(layer, cancellationToken);
            for (int group = 0; group < BlockLinears.Groups.Count; group++)
            {
                bool InGroup(LinearShape linear) => linear.Layer == layer && BlockLinears.Groups[group].Contains(linear.Kind);
                LinearShape[] open = [.. waiting.Where(InGroup)];
                if (open.Length > 0)
                {
                    using InputDrift drift = sweep.Measure(group, cancellationToken);
                    RunByShape(open, accept, clock, cancellationToken, (name, w) => drift.Correct(name, w, options.PropagatedShare));
                    left -= open.Length;
                }
                if (left == 0)
                    return;
                sweep.Pass(group, selected.Where(InGroup).Select(linear => (linear.Kind, read(linear))), cancellationToken);
            }
        }
    }

    // While a device rounds one batch, the results of the batch before it are accepted and the factors of the next are read.
    private void RunByShape(
        IReadOnlyList<LinearShape> linears, Action<LinearShape, RoundedLinear> accept, StageClock<RoundingPhase> clock, CancellationToken cancellationToken,
        Action<string, Tensor>? change = null)
    {
        Work? rounding = null;
        KroneckerFactors?[] fitted = [];    // of the next batch, until that owns them
        IReadOnlyList<LinearShape> members = [];
        IEnumerable<(LinearQuantizer? Quantizer, IReadOnlyList<LinearShape> Linears)> batches = linears
            .GroupBy(bitsOf, (bits, rate) => (Quantizer: Quantizer(bits, clock), Linears: rate))
            .SelectMany(rate => Batches(rate.Quantizer, rate.Linears).Select(batch => ((LinearQuantizer?)rate.Quantizer, batch)))
            .OrderBy(batch => batch.batch[0].Index);
        try
        {
            foreach ((LinearQuantizer? quantizer, IReadOnlyList<LinearShape> next) in batches.Append((null, [])))
            {
                cancellationToken.ThrowIfCancellationRequested();
                fitted = Read(next);
                IReadOnlyList<RoundedLinear> results = rounding?.Batch.Collect() ?? [];
                rounding?.Dispose();
                rounding = null;
                if (quantizer is not null)
                {
                    rounding = Prepare(quantizer, next, fitted, change, cancellationToken);
                    fitted = [];
                    rounding.Batch.Round(cancellationToken);
                }
                foreach ((LinearShape linear, RoundedLinear result) in members.Zip(results))
                    accept(linear, result);
                members = next;
            }
        }
        finally
        {
            rounding?.Dispose();
            Dispose([], fitted);
        }
    }

    private LinearQuantizer Quantizer(int bits, StageClock<RoundingPhase>? clock = null) => new(backend, options.LinearSettings(bits)) { Clock = clock };

    private Dictionary<string, double> WhiteLosses(IReadOnlyList<LinearShape> linears, Action<double>? progress, CancellationToken cancellationToken)
    {
        var losses = new Dictionary<string, double>(StringComparer.Ordinal);
        LinearQuantizer quantizer = Quantizer(QuantizationOptions.Widths[0]);                              // the rate does not matter
        foreach (IReadOnlyList<LinearShape> members in Batches(quantizer, linears))
        {
            KroneckerFactors?[] fitted = Read(members);
            double[] scales = [.. members.Zip(fitted, ScaleOf)];
            using Work work = Prepare(quantizer, members, fitted, change: null, cancellationToken);
            foreach ((LinearShape linear, double scale, double loss) in members.Zip(scales, work.Batch.WhiteLosses()))
                losses.Add(linear.Name, scale * loss);
            progress?.Invoke((double)losses.Count / linears.Count);
        }
        return losses;
    }

    private static double ScaleOf(LinearShape linear, KroneckerFactors? factors) => factors is { HOut: not null, HIn: not null }
        ? factors.Evidence.Scale
        : throw new InvalidDataException($"{linear.Name}: found factors of {factors?.Evidence.Source ?? "nothing"}, expected both factors of the Fisher matrix: {QuantizationOptions.MixedBitsCure}");

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

    // Loads weights, changes them if wanted, and makes a batch of them.
    private Work Prepare(
        LinearQuantizer quantizer, IReadOnlyList<LinearShape> linears, KroneckerFactors?[] fitted, Action<string, Tensor>? change, CancellationToken cancellationToken)
    {
        var inputs = new List<LinearInput>(linears.Count);
        try
        {
            foreach ((LinearShape linear, KroneckerFactors? factor) in linears.Zip(fitted))
            {
                using (StageClock.Enter(quantizer.Clock, RoundingPhase.Loading))
                    inputs.Add(new LinearInput(linear.Name, linear.Index, folder.Load(backend, linear.Name + ".weight", linear.Rows, linear.Columns, DType.F32), factor));
                using (StageClock.Enter(quantizer.Clock, RoundingPhase.Propagation))
                    change?.Invoke(linear.Name, inputs[^1].Weights);
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
