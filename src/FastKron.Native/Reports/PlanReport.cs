using FastKron.Native.Quantization;

namespace FastKron.Native.Reports;

/// <summary>A <see cref="QuantizationPlan"/> for machines.</summary>
/// <param name="Model">Folder of the original.</param>
/// <param name="Weights">Weights that will be quantized.</param>
/// <param name="Matrices">Matrices they are in.</param>
/// <param name="Skipped">Matrices left dense.</param>
/// <param name="Memory">Estimated bytes of the largest stage, by what they hold.</param>
/// <param name="DiskBytes">Estimated bytes still to be written.</param>
/// <param name="DiskFree">Bytes free where the output goes.</param>
/// <param name="Finished">Steps that an earlier run finished.</param>
/// <param name="Stages">Estimated seconds of a whole run.</param>
/// <param name="Warning">What may fail for want of memory, or null.</param>
public sealed record PlanReport(
    string Model, long Weights, int Matrices, IReadOnlyList<string> Skipped, IReadOnlyDictionary<string, long> Memory, long DiskBytes, long DiskFree, int Finished,
    IReadOnlyList<StageReport> Stages, string? Warning)
{
    /// <summary>The report of a plan.</summary>
    public static PlanReport Of(QuantizationPlan plan) => new(
        Path.GetFullPath(plan.Model), plan.Linears.Quantized.Sum(l => l.Weights), plan.Linears.Quantized.Count, [.. plan.Linears.Skipped.Select(l => l.Name)],
        plan.Memory.ToDictionary(part => part.What, part => part.Bytes), plan.DiskBytes, plan.DiskFree, plan.Finished, plan.Stages, plan.Warning);
}
