namespace FastKron.Native.Tests.Compute;

/// <summary>The list of operations with shapes, types and tolerances; one file per family.</summary>
internal static partial class OperationCases
{
    public static IEnumerable<OperationCase> All => [.. Matrix, .. WeightedRowCases, .. Kronecker, .. Transformer, .. Incoherence, .. HadamardRowsCases, .. Trellis, .. Rounding];
}
