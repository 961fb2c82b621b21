namespace FastKron.Native.Evaluation;

/// <summary>Values of one measure by rotation seed and by unit (a block of text, a document), the same units for every seed.</summary>
/// <remarks>
/// The mean is over both. Its error counts both: variance over units of their means over seeds / units + variance over seeds of their means over units / seeds.
/// One seed tells nothing of the second, which is then left out.
/// </remarks>
public sealed class SeededSample
{
    private readonly SortedDictionary<ulong, double[]> _values;
    private readonly bool _isUnrotated;

    /// <summary>Takes values over.</summary>
    /// <param name="values">Units of each seed, in the same order; at least one seed.</param>
    /// <exception cref="ArgumentException">No seed, or seeds of unequal units.</exception>
    public SeededSample(IReadOnlyDictionary<ulong, double[]> values)
    {
        if (values.Count == 0 || values.Values.Select(units => units.Length).Distinct().Count() != 1)
            throw new ArgumentException("expected at least one seed, and as many units of each", nameof(values));
        _values = new SortedDictionary<ulong, double[]>(values.ToDictionary());
        double[][] seeds = [.. _values.Values];
        Units = [.. Enumerable.Range(0, seeds[0].Length).Select(unit => seeds.Average(units => units[unit]))];
        SeedMeans = [.. seeds.Select(units => Statistics.Mean(units))];
    }

    private SeededSample(double[] units)
        : this(new Dictionary<ulong, double[]> { [0] = units }) => _isUnrotated = true;

    /// <summary>Values of a model without a rotation, such as the original: paired with every seed of another sample.</summary>
    /// <param name="units">Units.</param>
    public static SeededSample Unrotated(double[] units) => new(units);

    /// <summary>Mean over the seeds of every unit.</summary>
    public double[] Units { get; }

    /// <summary>Mean over the units of every seed, in the order of the seeds.</summary>
    public double[] SeedMeans { get; }

    /// <summary>The seeds, ascending.</summary>
    public IEnumerable<ulong> Seeds => _values.Keys;

    /// <summary>Mean over seeds and units.</summary>
    public double Mean => Statistics.Mean(Units);

    /// <summary>Standard error of <see cref="Mean"/> from units and seeds.</summary>
    public double Error => Math.Sqrt(Square(Statistics.StandardError(Units)) + (SeedMeans.Length > 1 ? Square(Statistics.StandardError(SeedMeans)) : 0));

    /// <summary>The differences to another sample of the same units, seed by seed; null where no seed is common.</summary>
    /// <param name="other">The same units.</param>
    public SeededSample? Minus(SeededSample other) => Combine(other, (mine, its) => mine - its);

    /// <summary>The ratio of the means over the common seeds, and its standard error by linearisation; null where no seed is common.</summary>
    /// <param name="other">As for <see cref="Minus"/>.</param>
    public (double Ratio, double Error)? RatioTo(SeededSample other)
    {
        if (Combine(other, (mine, _) => mine) is not { } a || Combine(other, (_, its) => its) is not { } b)
            return null;
        double ratio = a.Mean / b.Mean, scale = b.Mean;
        return (ratio, Combine(other, (mine, its) => (mine - ratio * its) / scale)!.Error);
    }

    private SeededSample? Combine(SeededSample other, Func<double, double, double> combine)
    {
        IEnumerable<ulong> seeds = _isUnrotated ? other.Seeds : other._isUnrotated ? Seeds : Seeds.Intersect(other.Seeds);
        var combined = seeds.ToDictionary(seed => seed, seed => Of(seed).Zip(other.Of(seed), combine).ToArray());
        return combined.Count == 0 ? null : new SeededSample(combined);
    }

    private double[] Of(ulong seed) => _isUnrotated ? Units : _values[seed];

    private static double Square(double value) => value * value;
}
