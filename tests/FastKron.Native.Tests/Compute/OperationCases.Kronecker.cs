namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    private static IEnumerable<OperationCase> Kronecker => [];
}
