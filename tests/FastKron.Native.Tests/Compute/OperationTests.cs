using FastKron.Native.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

[Category("Simd")]
public sealed class OperationTests
{
    private static IEnumerable<TestCaseData> Cases =>
        from backend in Backends.Names
        from operation in OperationCases.All
        where backend != "cpu" || !operation.DeviceOnly
        select new TestCaseData(backend, operation).SetArgDisplayNames(backend, operation.ToString());

    [TestCaseSource(nameof(Cases))]
    public void Execute_EveryCase_AgreesWithReference(string backendName, object operation)
    {
        var item = (OperationCase)operation;
        using IBackend backend = Backends.Create(backendName);
        OperationRun run = item.Prepare(backend);
        try
        {
            run.Execute();
            Assert.That(run.Error(), Is.LessThanOrEqualTo(item.Tolerance));
        }
        finally
        {
            run.Release();
        }
    }
}
