namespace FastKron.Native.Reports;

/// <summary>Round values for the ticks of an axis, about five of them.</summary>
internal static class AxisTicks
{
    private const int Most = 6;

    private static readonly int[] Within = [1, 2, 5], Steps = [.. Within, 10];

    /// <summary>Multiples of 1, 2 or 5 times a power of ten, from the last at or below <paramref name="low"/> to the first at or above <paramref name="high"/>.</summary>
    /// <param name="low">Least value.</param>
    /// <param name="high">Greatest value, above <paramref name="low"/>.</param>
    public static double[] Linear(double low, double high)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10((high - low) / (Most - 1))));
        double step = power * Steps.First(factor => Count(factor * power) <= Most);
        double first = Math.Floor(low / step);
        return [.. Enumerable.Range(0, Count(step)).Select(i => (first + i) * step)];

        int Count(double step) => (int)(Math.Ceiling(high / step - 1e-9) - Math.Floor(low / step)) + 1;
    }

    /// <summary>Powers of ten that enclose two positive values; with their double and fivefold where there are few, and only every so many where there are many.</summary>
    /// <param name="low">Least value, positive.</param>
    /// <param name="high">Greatest value, not below it.</param>
    public static double[] Logarithmic(double low, double high)
    {
        int first = (int)Math.Floor(Math.Log10(low)), last = Math.Max(first + 1, (int)Math.Ceiling(Math.Log10(high)));
        if (last - first <= 2)
            return [.. Enumerable.Range(first, last - first).SelectMany(decade => Within.Select(factor => factor * Math.Pow(10, decade))), Math.Pow(10, last)];
        int every = (last - first + Most - 2) / (Most - 1);
        return [.. Enumerable.Range(0, (last - first + every - 1) / every + 1).Select(i => Math.Pow(10, first + i * every))];
    }
}
