using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Models;

/// <summary>Cosines and sines of the rotary embedding, (positions, head dimension / 2) F32, computed in float64 as far as positions are used.</summary>
/// <remarks>Angle of pair i at position p: p·f_i, f_i = θ^(−2i/d). Source: arXiv:2104.09864, section 3.2.2; llama3 scaling as published with LLaMA 3.1.</remarks>
internal sealed class RotaryTables(IBackend backend, ModelConfig config) : IDisposable
{
    private readonly double[] _frequencies = Frequencies(config.Rotary, config.HeadDimension);
    private Tensor? _cosines, _sines;

    /// <summary>Rows computed so far.</summary>
    public int Positions => _cosines?.Rows ?? 0;

    /// <summary>Cosines; valid until the next <see cref="Reserve"/> that needs more positions.</summary>
    public Tensor Cosines => _cosines ?? throw new InvalidOperationException("rotary tables: no positions reserved");

    /// <summary>Sines, like <see cref="Cosines"/>.</summary>
    public Tensor Sines => _sines ?? throw new InvalidOperationException("rotary tables: no positions reserved");

    /// <summary>Makes rows 0 … positions−1 available; at least doubles the tables, so that a growing context costs little.</summary>
    public void Reserve(int positions)
    {
        if (positions <= Positions)
            return;
        int rows = Math.Min(Math.Max(positions, Math.Max(256, 2 * Positions)), Math.Max(positions, config.MaxPositions));
        int pairs = _frequencies.Length;
        float[] cosines = new float[checked(rows * pairs)], sines = new float[rows * pairs];
        for (int position = 0, k = 0; position < rows; position++)
        {
            for (int i = 0; i < pairs; i++, k++)
            {
                (double sine, double cosine) = Math.SinCos(position * _frequencies[i]);
                (cosines[k], sines[k]) = ((float)cosine, (float)sine);
            }
        }
        Dispose();
        _cosines = backend.Allocate(DType.F32, rows, pairs);
        _sines = backend.Allocate(DType.F32, rows, pairs);
        backend.Upload<float>(cosines, _cosines);
        backend.Upload<float>(sines, _sines);
    }

    /// <summary>f_i in radians per position.</summary>
    public static double[] Frequencies(RotarySettings settings, int headDimension)
    {
        double[] frequencies = new double[headDimension / 2];
        for (int i = 0; i < frequencies.Length; i++)
        {
            double frequency = Math.Pow(settings.Theta, -2.0 * i / headDimension);
            frequencies[i] = settings.Llama3 is { } scaling ? Scale(frequency, scaling) : frequency;
        }
        return frequencies;
    }

    /// <summary>Frees the tables.</summary>
    public void Dispose()
    {
        _cosines?.Dispose();
        _sines?.Dispose();
        (_cosines, _sines) = (null, null);
    }

    // Turns within the original context decide: many (high frequency) keep f, few (low frequency) get f / factor, between them linear in the turns.
    private static double Scale(double frequency, Llama3Scaling scaling)
    {
        double turns = scaling.OriginalMaxPositions * frequency / (2 * Math.PI);
        double kept = Math.Clamp((turns - scaling.LowFrequencyFactor) / (scaling.HighFrequencyFactor - scaling.LowFrequencyFactor), 0, 1);
        return frequency * (kept + (1 - kept) / scaling.Factor);
    }
}
