using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Incoherence;
using FastKron.Native.Reports;
using FastKron.Native.Rounding;

namespace FastKron.Native.Quantization;

/// <summary>Quantizes weight matrices: random rotation, scale, adaptive rounding with a trellis code, packing.</summary>
/// <remarks>Results depend on the weights, the factors, the options and the matrix number only. Sources: QTIP, arXiv:2406.11235; YAQA, arXiv:2505.22988.</remarks>
public sealed class LinearQuantizer
{
    // Before its first and after its last tiles an encoder's processors wait for one another: eight times what it works on at once makes little of that.
    private const int RoundsOfEncoder = 8;

    // W as it was given, W, U and V, in float32.
    private const int BytesOfMatrix = 4 * sizeof(float);

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

    /// <summary>Told where the device's time goes; null for none.</summary>
    public StageClock<RoundingPhase>? Clock { get; init; }

    /// <summary>Of so many matrices of one shape, those that <see cref="Prepare"/> should get at once: enough that the encoder is never idle, as far as half of the free memory holds them.</summary>
    /// <param name="matrices">How many there are.</param>
    /// <param name="rows">m.</param>
    /// <param name="columns">n.</param>
    public int BatchSize(int matrices, int rows, int columns) => BatchSize(matrices, RoundsOfEncoder * _backend.TilesAtOnce, _backend.AvailableBytes / 2, rows, columns);

    /// <summary>The same for so many tiles of the longest anti-diagonals and so many bytes; at least 1. Batches are as equal as they can be.</summary>
    internal static int BatchSize(int matrices, int tiles, long bytes, int rows, int columns)
    {
        int widest = Math.Max(1, Math.Min(rows, columns) / TileDiagonal.TileRows);
        double one = BytesOfMatrix * (double)rows * columns + sizeof(float) * (Math.Pow(rows, 2) + Math.Pow(columns, 2));
        double factorisation = 2 * sizeof(double) * Math.Pow(Math.Max(rows, columns), 2);   // of one factor at a time, and its workspace
        int fitting = (int)Math.Clamp((bytes - factorisation) / one, 1, matrices);
        int batches = Math.Max((matrices + fitting - 1) / fitting, (int)Math.Round((double)matrices * widest / tiles));
        return (matrices + Math.Max(1, batches) - 1) / Math.Max(1, batches);
    }

    /// <summary>Mean squared error of the code on independent normal weights of variance 1, measured; waits.</summary>
    public double Distortion()
    {
        const int Tiles = 256;                   // 65,536 weights: the error of the mean is about 0.5 %
        float[] normal = new float[Tiles * TrellisCodebook.TileSize];
        Philox.Normal(seed: 0, RandomPurpose.Codebook, item: 1, normal);
        TrellisCodebook code = _options.Codebook;
        using Tensor targets = _backend.Allocate(DType.F32, Tiles, TrellisCodebook.TileSize), values = _backend.Allocate(DType.F32, Tiles, TrellisCodebook.TileSize);
        using Tensor states = _backend.Allocate(DType.U16, Tiles, code.Steps);
        _backend.Upload<float>(normal, targets);
        _backend.Scale(_codeScale, targets);
        _backend.EncodeTiles(code, _options.Window, targets, states, _options.Costs);
        _backend.DecodeTiles(code, states, values);
        double energy = _backend.Dot(targets, targets);
        _backend.Axpy(-1, targets, values);
        return _backend.Dot(values, values) / energy;
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
        using LinearBatch batch = Prepare([new LinearInput(name, matrix, weights, factors)], cancellation);
        batch.Round(cancellation);
        return batch.Collect()[0];
    }

    /// <summary>Makes matrices of one shape ready for rounding together.</summary>
    /// <param name="inputs">At least one; all of one shape.</param>
    /// <param name="cancellation">Checked between matrices.</param>
    /// <exception cref="NotSupportedException"><see cref="CheckShape"/> refuses the shape.</exception>
    /// <exception cref="InvalidDataException">Weights are not finite.</exception>
    /// <exception cref="ArgumentException">A factor does not fit its matrix, or the shapes differ.</exception>
    public LinearBatch Prepare(IReadOnlyList<LinearInput> inputs, CancellationToken cancellation = default)
    {
        int m = inputs[0].Weights.Rows, n = inputs[0].Weights.Columns;
        foreach (LinearInput input in inputs)
        {
            if (input.Weights.Rows != m || input.Weights.Columns != n)
                throw new ArgumentException($"{input.Name}: expected ({m}, {n}) like {inputs[0].Name}, found {input.Weights}", nameof(inputs));
            if (CheckShape(m, n, _options.Layout) is { } reason)
                throw new NotSupportedException($"{input.Name}.weight ({m}, {n}): {reason}");
            CheckFactor(input.Name, "output", input.Factors?.HOut, m);
            CheckFactor(input.Name, "input", input.Factors?.HIn, n);
        }
        return new LinearBatch(_backend, _options, _codeScale, inputs, Clock, cancellation);
    }

    private static void CheckFactor(string name, string side, Tensor? factor, int size)
    {
        if (factor is not null && (factor.Rows != size || factor.Columns != size))
            throw new ArgumentException($"{name}: expected an {side} factor of ({size}, {size}), found {factor}");
    }
}
