using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Generation;

/// <summary>Chooses the next token from a row of logits, on the host in float64.</summary>
internal sealed class TokenSampler
{
    private readonly GenerationOptions _options;
    private readonly double[] _weights;   // e^((z − max) / temperature)
    private readonly int[] _candidates;
    private readonly Comparison<int> _likelierFirst;

    /// <exception cref="ArgumentOutOfRangeException">Temperature or top-p out of range.</exception>
    public TokenSampler(GenerationOptions options, int vocabularySize)
    {
        if (!(options.Temperature >= 0 && double.IsFinite(options.Temperature)))
            throw new ArgumentOutOfRangeException(nameof(options), $"temperature {options.Temperature}: expected a finite number of at least 0");
        if (!(options.TopP > 0 && options.TopP <= 1))
            throw new ArgumentOutOfRangeException(nameof(options), $"top-p {options.TopP}: expected a number above 0, at most 1");
        _options = options;
        (_weights, _candidates) = (new double[vocabularySize], new int[vocabularySize]);
        _likelierFirst = (a, b) => _weights[a] != _weights[b] ? _weights[b].CompareTo(_weights[a]) : a.CompareTo(b);
    }

    /// <summary>The next token.</summary>
    /// <param name="logits">One row, vocabulary elements.</param>
    /// <param name="step">Number of the draw: its Philox item.</param>
    /// <exception cref="InvalidDataException">A logit is NaN or +∞, or all are −∞: the model's weights or activations overflowed.</exception>
    public int Next(ReadOnlySpan<float> logits, uint step)
    {
        int best = 0;
        for (int v = 0; v < logits.Length; v++)
        {
            if (float.IsNaN(logits[v]) || float.IsPositiveInfinity(logits[v]))
                throw new InvalidDataException($"generated token {step}: logit of id {v} is {logits[v]}, expected a finite number; the model is damaged");
            if (logits[v] > logits[best])
                best = v;
        }
        if (float.IsNegativeInfinity(logits[best]))
            throw new InvalidDataException($"generated token {step}: every logit is -infinity, expected a finite number; the model is damaged");
        if (_options.Temperature == 0)
            return best;
        double total = 0;
        for (int v = 0; v < logits.Length; v++)
            total += _weights[v] = Math.Exp(((double)logits[v] - logits[best]) / _options.Temperature);
        var (x, y, _, _) = Philox.Words(_options.Seed, 0, RandomPurpose.Generation, step);
        double uniform = (((ulong)(x >> 5) << 26) + (y >> 6) + 0.5) / (1L << 53);
        return _options.TopP < 1 ? DrawNucleus(logits.Length, total, uniform) : Draw(logits.Length, total, uniform);
    }

    private int Draw(int count, double total, double uniform)
    {
        double remaining = uniform * total;
        int last = 0;
        for (int v = 0; v < count; v++)
        {
            if (_weights[v] == 0)
                continue;
            last = v;
            remaining -= _weights[v];
            if (remaining < 0)
                break;
        }
        return last;   // rounding can leave a remainder at the end
    }

    private int DrawNucleus(int count, double total, double uniform)
    {
        // Tokens below (1 − p)/(V − 1) sum to less than 1 − p together, so the others hold the nucleus: only those are sorted.
        double floor = (1 - _options.TopP) / Math.Max(1, count - 1) * total;
        int candidates = 0;
        for (int v = 0; v < count; v++)
        {
            if (_weights[v] >= floor)
                _candidates[candidates++] = v;
        }
        Span<int> sorted = _candidates.AsSpan(0, candidates);
        sorted.Sort(_likelierFirst);
        double kept = 0;
        int size = 0;
        while (size < sorted.Length && kept < _options.TopP * total)
            kept += _weights[sorted[size++]];
        double remaining = uniform * kept;
        foreach (int v in sorted[..size])
        {
            remaining -= _weights[v];
            if (remaining < 0)
                return v;
        }
        return sorted[size - 1];
    }
}
