using System.Globalization;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using FastKron.Native.Benchmarking;
using Perfolizer.Horology;

namespace FastKron.Native.Benchmarks.Results;

/// <summary>Runs the BenchmarkDotNet classes in this process and keeps their work rates as records of bench/results/cpu.jsonl.</summary>
/// <remarks>A suite is a class without its ending; a record is one benchmark and parameter set in one <see cref="ThroughputColumn"/>; the rival is the other library's method of the same name, else the class's baseline; rivals are no records of their own.</remarks>
internal static class CpuResults
{
    private const string Ending = "Benchmarks", OtherLibrary = "OpenBlas";

    /// <summary>Runs the classes whose suite is named, or all.</summary>
    public static void Run(string repository, IReadOnlyList<string> suites)
    {
        Type[] types = [.. typeof(CpuResults).Assembly.GetTypes()
            .Where(t => t.Name.EndsWith(Ending, StringComparison.Ordinal) && (suites.Count == 0 || suites.Contains(SuiteOf(t))))
            .OrderBy(t => t.Name, StringComparer.Ordinal)];
        if (types.Length == 0)
            throw new ArgumentException($"no suite {string.Join(", ", suites)}");
        IConfig config = DefaultConfig.Instance
            .WithOptions(ConfigOptions.DisableOptimizationsValidator)
            .AddJob(Job.ShortRun.WithIterationTime(TimeInterval.FromMilliseconds(250)).WithToolchain(InProcessEmitToolchain.Instance));
        foreach (Type type in types)
        {
            Summary summary = BenchmarkRunner.Run(type, config);
            BenchmarkRecord[] records = [.. Records(summary, SuiteOf(type))];
            if (records.Length == 0)
                throw new InvalidDataException($"{type.Name}: no result; see the log above");
            BenchmarkRecord.Replace(Path.Combine(repository, "bench", "results", "cpu.jsonl"), records);
        }
    }

    private static string SuiteOf(Type type) => type.Name[..^Ending.Length].ToLowerInvariant();

    private static IEnumerable<BenchmarkRecord> Records(Summary summary, string suite)
    {
        foreach (ThroughputColumn column in summary.GetColumns().OfType<ThroughputColumn>())
        {
            foreach (BenchmarkCase item in summary.BenchmarksCases)
            {
                string name = item.Descriptor.WorkloadMethod.Name;
                if (item.Descriptor.Baseline || name.StartsWith(OtherLibrary, StringComparison.Ordinal) || Rate(summary, column, item) is not { } value)
                    continue;
                BenchmarkCase[] rivals = [.. summary.BenchmarksCases.Where(c => c.Parameters.PrintInfo == item.Parameters.PrintInfo)];
                BenchmarkCase? baseline = rivals.FirstOrDefault(c => c.Descriptor.WorkloadMethod.Name == OtherLibrary + name) ?? rivals.FirstOrDefault(c => c.Descriptor.Baseline);
                yield return new BenchmarkRecord
                {
                    Suite = suite,
                    Case = string.Join('/', new[] { name }.Concat(item.Parameters.Items.Select(p => $"{p.Value}"))),
                    Value = value,
                    Unit = column.ColumnName,
                    Rival = baseline?.Descriptor.WorkloadMethod.Name,
                    RivalValue = baseline is null ? null : Rate(summary, column, baseline),
                    Machine = MachineName.Cpu,
                    Command = $"./build.sh bench cpu {suite}",
                };
            }
        }
    }

    private static double? Rate(Summary summary, ThroughputColumn column, BenchmarkCase item)
        => double.TryParse(column.GetValue(summary, item), NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value : null;
}
