using System.Globalization;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary>Prints the plan of a run.</summary>
internal static class PlanTable
{
    public static void Write(QuantizationPlan plan)
    {
        Table table = Output.Table("plan (estimates)", "");
        table.Row("weights to quantize", Number($"{plan.Linears.Quantized.Sum(l => l.Weights) / 1e6:F2} M in {plan.Linears.Quantized.Count} matrices"));
        if (plan.Linears.Skipped.Count > 0)
            table.Row("left dense", Number($"{plan.Linears.Skipped.Count} matrices: {string.Join(", ", plan.Linears.Skipped.Select(l => l.Kind).Distinct())}"));
        foreach ((string what, long bytes) in plan.Memory)
            table.Row($"memory, {what}", ByteSize.ToText(bytes));
        table.Row("disk", $"{ByteSize.ToText(plan.DiskBytes)} of {ByteSize.ToText(plan.DiskFree)} free");
        if (plan.Finished > 0)
            table.Row("resumed", Number($"{plan.Finished} steps are done"));
        foreach (StageReport stage in plan.Stages)
            table.Row($"time, {stage.Name}", ProgressDisplay.Time(stage.Seconds));
        table.Row("time, total", ProgressDisplay.Time(plan.Stages.Sum(s => s.Seconds)));
        Output.Write(table);
        if (plan.Warning is { } warning)
            Output.Warn(warning);
    }

    private static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
