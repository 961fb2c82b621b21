using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace FastKron.Native.Benchmarks;

/// <summary>A column of work per second: units per operation divided by the mean time.</summary>
/// <param name="unit">Such as MB/s or GFLOP/s; the name of the column.</param>
/// <param name="unitsPerOperation">Such as megabytes of one operation; NaN leaves the cell empty.</param>
internal sealed class ThroughputColumn(string unit, Func<BenchmarkCase, double> unitsPerOperation) : IColumn
{
    public string Id => $"{nameof(ThroughputColumn)}.{unit}";

    public string ColumnName => unit;

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public string Legend => $"{unit}, from the mean time";

    public bool IsAvailable(Summary summary) => true;

    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
    {
        double units = unitsPerOperation(benchmarkCase);
        return summary[benchmarkCase]?.ResultStatistics is { } time && !double.IsNaN(units)
            ? (units / (time.Mean * 1e-9)).ToString("F1", CultureInfo.InvariantCulture)
            : "";
    }

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);
}
