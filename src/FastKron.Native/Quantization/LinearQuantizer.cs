using System.Diagnostics;
using System.Numerics.Tensors;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Incoherence;
using FastKron.Native.Rounding;
using DType = FastKron.Native.Compute.Tensors.DType;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Quantization;

/// <summary>Quantizes one weight matrix at a time: random rotation, scale, adaptive rounding with a trellis code, packing.</summary>
/// <remarks>Results depend on the weights, the factors, the options and the matrix number only. Sources: QTIP, arXiv:2406.11235; YAQA, arXiv:2505.22988.</remarks>
public sealed class LinearQuantizer
{
    private readonly IBackend _backend;
    private readonly LinearQuantizerOptions _options;
    private readonly double _codeScale;

    /// <summary>Creates a quantizer.</summary>
    /// <param name="backend">Where the work is done.</param>
    /// <param name="options">Settings of the run.</param>
    public LinearQuantizer(IBackend backend, LinearQuantizerOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.RelativeScale);
        (_backend, _options) = (backend, options);
        ReadOnlySpan<float> values = options.Codebook.Values.Span;
        double squares = 0;
        foreach (float value in values)
            squares += (double)value * value;
        _codeScale = options.RelativeScale * Math.Sqrt(squares / values.Length);
    }

    /// <summary>Why a matrix cannot be quantized, in words; null if it can.</summary>
    /// <param name="rows">m, outputs.</param>
    /// <param name="columns">n, inputs.</param>
    /// <param name="layout">Bit placement.</param>
    public static string? CheckShape(int rows, int columns, TrellisLayout layout = TrellisLayout.QtipKernel)
    {
        int multiple = TrellisPacking.Granularity(layout);
        foreach ((string side, int size) in new[] { ("outputs", rows), ("inputs", columns) })
        {
            if (size <= 0 || size % multiple != 0)
                return $"{size} {side}: no multiple of {multiple}";
            if (!HadamardFactors.Supports(size))
                return $"{size} {side}: no Hadamard matrix; {HadamardFactors.Unsupported(size)}";
        }
        return null;
    }

    /// <summary>Quantizes one matrix.</summary>
    /// <param name="name">Module path.</param>
    /// <param name="matrix">Number of the matrix in the model: chooses its random signs.</param>
    /// <param name="weights">W (m, n) F32, on the backend; not changed.</param>
    /// <param name="factors">Metric of the errors; null, or null factors in it, for the identity.</param>
    /// <param name="cancellation">Checked many times a second.</param>
    /// <exception cref="NotSupportedException"><see cref="CheckShape"/> refuses the shape.</exception>
    /// <exception cref="InvalidDataException">The weights are not finite.</exception>
    /// <exception cref="ArgumentException">A factor does not fit the matrix.</exception>
    public RoundedLinear Quantize(string name, uint matrix, Tensor weights, KroneckerFactors? factors, CancellationToken cancellation = default)
    {
        long started = Stopwatch.GetTimestamp();
        int m = weights.Rows, n = weights.Columns;
        if (CheckShape(m, n, _options.Layout) is { } reason)
            throw new NotSupportedException($"{name}.weight ({m}, {n}): {reason}");
        CheckFactor(name, "output", factors?.HOut, m);
        CheckFactor(name, "input", factors?.HIn, n);
        double squares = _backend.Dot(weights, weights);
        if (!double.IsFinite(squares))
            throw new InvalidDataException($"{name}.weight ({m}, {n}): expected finite weights, found NaN or infinity");

        using RandomHadamard input = RandomHadamard.Draw(_backend, n, _options.Seed, RandomPurpose.InputSigns, matrix);
        using RandomHadamard output = RandomHadamard.Draw(_backend, m, _options.Seed, RandomPurpose.OutputSigns, matrix);
        using DampedFactor? a = Factorise(factors?.HOut, output, _options.DampingOut, out string? failureOut);
        cancellation.ThrowIfCancellationRequested();
        using DampedFactor? b = Factorise(factors?.HIn, input, _options.DampingIn, out string? failureIn);
        cancellation.ThrowIfCancellationRequested();

        // A zero matrix has scale 0: whatever is decoded, the output scale makes it 0.
        float scale = (float)(Math.Sqrt(squares / weights.Length) / _codeScale);
        using Tensor w = _backend.Allocate(DType.F32, m, n);
        _backend.Convert(weights, w);
        input.Rotate(w, HadamardAxis.Rows);
        output.Rotate(w, HadamardAxis.Columns);
        _backend.Scale(scale > 0 ? 1.0 / scale : 0, w);
        double loss = ProxyLoss.OfMatrix(_backend, w, a, b), norm = _backend.Dot(w, w);

        using Tensor residual = _backend.Allocate(DType.F32, m, n);
        using var tiles = new TrellisTileQuantizer(_backend, _options.Codebook, _options.Layout, _options.Window, m, n);
        TwoSidedRounding.Round(_backend, w, a?.Lower, b?.Lower, tiles, residual, cancellation);
        double proxy = ProxyLoss.OfResidual(_backend, residual, a, b), error = _backend.Dot(w, w);

        float[] outputScale = new float[m];
        TensorPrimitives.Multiply(output.Signs.Span, scale, outputScale);
        var statistics = new RoundingStatistics(
            (a, b) switch { (null, null) => "none", (null, _) => "ldlq", (_, null) => "ldlq-output", _ => "two-sided" },
            scale > 0 ? proxy / loss : 0, proxy * scale * scale, scale > 0 ? error / norm : 0, scale, a?.Damping ?? 0, b?.Damping ?? 0,
            Fallback(failureOut, failureIn), Stopwatch.GetElapsedTime(started).TotalSeconds);
        return new RoundedLinear(new QuantizedWeights(name, m, n, _options.Codebook, _options.Layout, tiles.Pack(), input.Signs.ToArray(), outputScale), statistics);
    }

    private DampedFactor? Factorise(Tensor? h, RandomHadamard rotation, double damping, out string? failure)
    {
        failure = null;
        return h is null ? null : DampedFactor.TryCreate(_backend, h, rotation, damping, out failure);
    }

    private static string? Fallback(string? failureOut, string? failureIn)
    {
        string?[] parts = [failureOut is null ? null : $"output factor unused: {failureOut}", failureIn is null ? null : $"input factor unused: {failureIn}"];
        return failureOut is null && failureIn is null ? null : string.Join("; ", parts.OfType<string>());
    }

    private static void CheckFactor(string name, string side, Tensor? factor, int size)
    {
        if (factor is not null && (factor.Rows != size || factor.Columns != size))
            throw new ArgumentException($"{name}: expected an {side} factor of ({size}, {size}), found {factor}");
    }
}
