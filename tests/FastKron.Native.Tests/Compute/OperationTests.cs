using FastKron.Native.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

[Category("Simd")]
public sealed class OperationTests
{
    // One backend for all cases: starting a device and loading its kernels takes longer than most of them.
    private readonly Dictionary<string, IBackend> _backends = [];

    private static IEnumerable<TestCaseData> Cases =>
        from backend in Backends.Names
        from operation in OperationCases.All
        where backend != "cpu" || !operation.DeviceOnly
        select new TestCaseData(backend, operation).SetArgDisplayNames(backend, operation.ToString());

    [OneTimeTearDown]
    public void DisposeBackends()
    {
        foreach (IBackend backend in _backends.Values)
            backend.Dispose();
    }

    [TestCaseSource(nameof(Cases))]
    public void Execute_EveryCase_AgreesWithReference(string backendName, object operation)
    {
        var item = (OperationCase)operation;
        if (!_backends.TryGetValue(backendName, out IBackend? backend))
            _backends.Add(backendName, backend = Backends.Create(backendName));
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
