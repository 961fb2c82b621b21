using FastKron.Native.Cuda;
using NUnit.Framework;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

namespace FastKron.Native.Tests;

/// <summary>Skips a test where there is no CUDA device; with FASTKRON_REQUIRE_GPU=1 it runs, and fails.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
internal sealed class RequiresGpuAttribute : NUnitAttribute, IApplyToTest
{
    public void ApplyToTest(Test test)
    {
        if (test.RunState != RunState.Runnable || CudaContext.IsAvailable || Environment.GetEnvironmentVariable("FASTKRON_REQUIRE_GPU") == "1")
            return;
        test.RunState = RunState.Ignored;
        test.Properties.Set(PropertyNames.SkipReason, CudaContext.UnavailableReason!);
    }
}
