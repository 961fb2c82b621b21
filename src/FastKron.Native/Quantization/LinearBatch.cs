using System.Diagnostics;
using System.Numerics.Tensors;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Formats;
using FastKron.Native.Incoherence;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;
using DType = FastKron.Native.Compute.Tensors.DType;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Quantization;

/// <summary>Matrices of one shape on their way through the quantizer: made ready, rounded, collected.</summary>
/// <remarks>
/// <see cref="Round"/> only enqueues on a device: what the caller does between it and <see cref="Collect"/> goes on beside it. A matrix's result does not
/// depend on the others of its batch.
/// </remarks>
public sealed class LinearBatch : IDisposable
{
    private readonly IBackend _backend;
    private readonly LinearQuantizerOptions _options;
    private readonly StageClock<RoundingPhase>? _clock;
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly IReadOnlyList<LinearInput> _inputs;
    private readonly Member[] _members;
    private readonly Side _output;
    private readonly Side _input;
    private readonly RoundingBatch _batch;
    private readonly TrellisTileQuantizer _tiles;
    private readonly Tensor _losses;

    /// <summary>Rotates, scales and factorises; waits for the factorisations.</summary>
    internal LinearBatch(
        IBackend backend, LinearQuantizerOptions options, double codeScale, IReadOnlyList<LinearInput> inputs, StageClock<RoundingPhase>? clock, CancellationToken cancellation)
    {
        (_backend, _options, _inputs, _clock) = (backend, options, inputs, clock);
        int count = inputs.Count, m = inputs[0].Weights.Rows, n = inputs[0].Weights.Columns;
        _members = new Member[count];
        _output = new Side(backend, count, m, inputs.Any(i => i.Factors?.HOut is not null));
        _input = new Side(backend, count, n, inputs.Any(i => i.Factors?.HIn is not null));
        Tensor Matrices() => backend.Allocate(DType.F32, count * m, n);
        _batch = new RoundingBatch(count, Matrices(), Matrices(), Matrices(), _output.Lower, _input.Lower);
        _tiles = new TrellisTileQuantizer(backend, options.Codebook, options.Layout, options.Window, options.Costs, count, m, n) { Clock = clock };
        _losses = backend.Allocate(DType.F64, 4, count);
        try
        {
            Prepare(inputs, codeScale, cancellation);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What each matrix would lose, in units of its weights, if the residual S were white and as large as the weights themselves: rms²(W) tr(D_out) tr(D_in).</summary>
    /// <remarks>Feedback leaves a white residual, so this times the distortion of a code is the loss to expect of it. Waits.</remarks>
    public IReadOnlyList<double> WhiteLosses()
    {
        double[] squares = SumsOfSquares();    // of scaled weights
        return [.. _members.Select((member, b) => squares[b] / ((double)_batch.Rows * _batch.Columns) * member.Scale * member.Scale
            * member.Output.Unit * member.Input.Unit * _output.Trace(b) * _input.Trace(b))];
    }

    /// <summary>Rounds the weights; on a device, only enqueues that.</summary>
    /// <param name="cancellation">Checked many times a second.</param>
    public void Round(CancellationToken cancellation = default)
    {
        TwoSidedRounding.Round(_backend, _batch, _tiles, _clock, cancellation);
        using StageClock<RoundingPhase>.Scope losses = Enter(RoundingPhase.Losses);
        _backend.RoundingLoss(_batch.V, _output.Diagonal, _input.Diagonal, Losses(Loss.Rounded));
        _backend.RoundingLoss(_batch.W, null, null, Losses(Loss.Error));
    }

    /// <summary>The results, in the order of the inputs; waits.</summary>
    /// <exception cref="ArithmeticException">A matrix's error is not finite.</exception>
    public IReadOnlyList<RoundedLinear> Collect()
    {
        double[] losses = new double[_losses.Length];
        _backend.Download<double>(_losses, losses);
        double Of(Loss loss, int b) => losses[(int)loss * _members.Length + b];
        double seconds = Stopwatch.GetElapsedTime(_started).TotalSeconds / _members.Length;
        var results = new RoundedLinear[_members.Length];
        for (int b = 0; b < results.Length; b++)
        {
            Member member = _members[b];
            float scale = member.Scale;
            double proxy = Of(Loss.Rounded, b);
            if (!double.IsFinite(proxy) || !double.IsFinite(Of(Loss.Whole, b)) || !double.IsFinite(Of(Loss.Error, b)))
                throw new ArithmeticException($"{member.Name}: rounding gave a loss of {proxy} and an error of {Of(Loss.Error, b)}, expected finite numbers; nothing of this matrix was kept");
            double unit = (double)scale * scale * member.Output.Unit * member.Input.Unit;
            float[] outputScale = new float[_batch.Rows];
            TensorPrimitives.Multiply(member.OutputScale.Span, scale, outputScale);
            var weights = new QuantizedWeights(member.Name, _batch.Rows, _batch.Columns, _options.Codebook, _options.Layout, _tiles.Download(b), member.InputScale.ToArray(), outputScale);
            string? fallback = member.Fallback;
            if (_options.FitScales && scale > 0)
            {
                (weights, double gain, string? failure) = Fit(b, weights);
                if (!_options.Equalize || member.HasBothFactors)
                    proxy -= gain / unit;      // else the fit has another metric: a missing factor is the identity of the model there, of the equalised basis here
                fallback = fallback is null ? failure : failure is null ? fallback : $"{fallback}; {failure}";
            }
            var statistics = new RoundingStatistics(
                member.Method, scale > 0 ? proxy / Of(Loss.Whole, b) : 0, proxy * unit,
                scale > 0 ? Of(Loss.Error, b) / Of(Loss.Weights, b) : 0, scale, member.Output.Sigma, member.Input.Sigma, fallback, seconds);
            results[b] = new RoundedLinear(weights, statistics);
        }
        return results;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable? tensor in new IDisposable?[] { _batch.W, _batch.U, _batch.V, _output, _input, _tiles, _losses })
            tensor?.Dispose();
    }

    // Factors that were not used are no metric.
    private (QuantizedWeights Weights, double Gain, string? Failure) Fit(int b, QuantizedWeights weights)
    {
        using StageClock<RoundingPhase>.Scope fitting = Enter(RoundingPhase.Scales);
        static ChannelScales.Metric Of(Tensor? factor, FactorDamping damping) => new(damping.Sigma > 0 ? factor : null, damping.Sigma * damping.Unit);
        Member member = _members[b];
        var scales = new ChannelScales(_backend, Of(_inputs[b].Factors?.HOut, member.Output), Of(_inputs[b].Factors?.HIn, member.Input));
        return scales.Fit(weights, member.Scale, _inputs[b].Weights);
    }

    private void Prepare(IReadOnlyList<LinearInput> inputs, double codeScale, CancellationToken cancellation)
    {
        int count = inputs.Count, m = _batch.Rows, n = _batch.Columns;
        for (int b = 0; b < count; b++)
            _backend.Convert(inputs[b].Weights, _batch.W.SliceRows(b * m, m));
        double[] squares = SumsOfSquares();
        for (int b = 0; b < count; b++)
        {
            if (!double.IsFinite(squares[b]))
                throw new InvalidDataException($"{inputs[b].Name}.weight ({m}, {n}): expected finite weights, found NaN or infinity");
        }
        var rotations = new List<RandomHadamard>(2 * count);
        try
        {
            using (Enter(RoundingPhase.Rotation))
                Rotate(inputs, rotations, cancellation);
            RandomHadamard[] input = [.. rotations.Take(count)], output = [.. rotations.Skip(count)];
            FactorDamping[] dampedOut = _output.Factorise([.. inputs.Select(i => i.Factors?.HOut)], output, _options.DampingOut, _clock);
            FactorDamping[] dampedIn = _input.Factorise([.. inputs.Select(i => i.Factors?.HIn)], input, _options.DampingIn, _clock);
            for (int b = 0; b < count; b++)
                _members[b] = new Member(inputs[b].Name, output[b].Scale, input[b].Scale, dampedOut[b], dampedIn[b]);
        }
        finally
        {
            rotations.ForEach(rotation => rotation.Dispose());
        }
        if (_options.Equalize)
            squares = SumsOfSquares();
        for (int b = 0; b < count; b++)
        {
            // A zero matrix has scale 0: whatever is decoded, the output scale makes it 0.
            float scale = (float)(Math.Sqrt(squares[b] / ((double)m * n)) / codeScale);
            _members[b].Scale = scale;
            _backend.Scale(scale > 0 ? 1.0 / scale : 0, _batch.W.SliceRows(b * m, m));
        }
        using StageClock<RoundingPhase>.Scope losses = Enter(RoundingPhase.Losses);
        ProxyLoss.OfWeights(_backend, _batch, _output.Diagonal, _input.Diagonal, Losses(Loss.Whole));
        _backend.RoundingLoss(_batch.W, null, null, Losses(Loss.Weights));
    }

    /// <summary>Equalises and rotates the weights; the rotations of the inputs of all matrices, then those of the outputs, are added to a list of the caller.</summary>
    private void Rotate(IReadOnlyList<LinearInput> inputs, List<RandomHadamard> rotations, CancellationToken cancellation)
    {
        int m = _batch.Rows, n = _batch.Columns;
        EnergyScales[]? scales = _options.Equalize ? EnergyScales.Of(_backend, _batch.W, inputs.Count) : null;
        foreach ((int size, RandomPurpose side, HadamardAxis axis) in new[] { (n, RandomPurpose.InputSigns, HadamardAxis.Rows), (m, RandomPurpose.OutputSigns, HadamardAxis.Columns) })
        {
            for (int b = 0; b < inputs.Count; b++)
            {
                cancellation.ThrowIfCancellationRequested();
                EnergyScales scale = scales?[b] ?? EnergyScales.None;
                var rotation = RandomHadamard.Draw(_backend, size, _options.Seed, side, inputs[b].Matrix, axis == HadamardAxis.Rows ? scale.Input : scale.Output);
                rotations.Add(rotation);
                rotation.Rotate(_batch.W.SliceRows(b * m, m), axis);
            }
        }
    }

    private double[] SumsOfSquares()
    {
        double[] squares = new double[_members.Length];
        _backend.RoundingLoss(_batch.W, null, null, Losses(Loss.Weights));
        _backend.Download<double>(Losses(Loss.Weights), squares);
        return squares;
    }

    private StageClock<RoundingPhase>.Scope Enter(RoundingPhase phase) => StageClock.Enter(_clock, phase);

    private Tensor Losses(Loss loss) => _losses.SliceRows((int)loss, 1).Reshape(_members.Length, 1);

    private enum Loss
    {
        Weights,
        Whole,
        Rounded,
        Error,
    }

    /// <summary>What is known of one matrix before it is rounded.</summary>
    private sealed record Member(string Name, ReadOnlyMemory<float> OutputScale, ReadOnlyMemory<float> InputScale, FactorDamping Output, FactorDamping Input)
    {
        /// <summary>Wscale.</summary>
        public float Scale { get; set; }

        public bool HasBothFactors => Output.Sigma > 0 && Input.Sigma > 0;

        public string Method => (Output.Sigma > 0, Input.Sigma > 0) switch { (false, false) => "none", (false, true) => "ldlq", (true, false) => "ldlq-output", _ => "two-sided" };

        public string? Fallback => (Output.Failure, Input.Failure) switch
        {
            (null, null) => null,
            (null, _) => $"input factor unused: {Input.Failure}",
            (_, null) => $"output factor unused: {Output.Failure}",
            _ => $"output factor unused: {Output.Failure}; input factor unused: {Input.Failure}",
        };
    }

    /// <summary>The factors of one side of all matrices; none where no matrix has one.</summary>
    private sealed class Side(IBackend backend, int matrices, int size, bool present) : IDisposable
    {
        public Tensor? Lower { get; } = present ? backend.Allocate(DType.F32, matrices * size, size) : null;

        public Tensor? Diagonal { get; } = present ? backend.Allocate(DType.F64, matrices * size, TileDiagonal.TileRows) : null;

        /// <summary>Damps and factorises the matrices' factors, or puts the identity in their places.</summary>
        public FactorDamping[] Factorise(IReadOnlyList<Tensor?> factors, IReadOnlyList<RandomHadamard> rotations, double damping, StageClock<RoundingPhase>? clock)
            => Lower is null || Diagonal is null
                ? [.. factors.Select(_ => FactorDamping.None)]
                : DampedFactor.Factorise(backend, factors, rotations, damping, Lower, Diagonal, clock);

        /// <summary>Σ tr(D_i) of a matrix; waits.</summary>
        public double Trace(int matrix)
        {
            if (Diagonal is null)
                return size;
            const int Block = TileDiagonal.TileRows;
            Tensor blocks = Diagonal.SliceRows(matrix * size, size).Reshape(size / Block, Block * Block);
            using Tensor ones = backend.Allocate(DType.F64, size / Block, 1);
            backend.Fill(ones, 1);
            return Enumerable.Range(0, Block).Sum(i => backend.Dot(blocks.SliceColumns(i * (Block + 1), 1), ones));
        }

        public void Dispose()
        {
            Lower?.Dispose();
            Diagonal?.Dispose();
        }
    }
}
