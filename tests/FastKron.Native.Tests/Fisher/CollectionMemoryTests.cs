using FastKron.Native.Compute;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Formats;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

/// <summary>Collections with much and with little memory, on every backend.</summary>
public sealed class CollectionMemoryTests
{
    // 24 gradients of some 500 tokens: states are larger than the window through which they pass.
    private static readonly IReadOnlyList<IReadOnlyList<int[]>> Minibatches =
        [.. Enumerable.Range(0, 24).Select(k => (IReadOnlyList<int[]>)[.. Enumerable.Range(0, 5).Select(s => RandomModel.Ids(50 + 12 * s + k, GeneratedModel.Vocabulary, (uint)(5 * k + s)))])];

    [Test]
    public void Collect_LittleMemory_GivesTheSameBitsWithinItsPlan(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName, [Values] FactorSource source)
    {
        using var temporary = new TemporaryFolder();
        using ModelFolder folder = ModelFolder.Open(GeneratedModel.Write(Path.Combine(temporary.Path, "model")));
        FisherOptions roomy = new() { Source = source, Gradients = Minibatches.Count, Solver = new SolverOptions { HalfSteps = 2 } };
        (Dictionary<string, float[]> expected, FisherPlan plan) = Collect(folder, backendName, roomy);
        long withoutStates = plan.DeviceBytes - plan.ResidentStates * plan.StateBytes;
        (Dictionary<string, float[]> actual, FisherPlan tight) = Collect(folder, backendName, roomy with { MaxDeviceBytes = withoutStates });
        Assert.That(tight.DeviceBytes < plan.DeviceBytes || source == FactorSource.Activation, "fewer states, linears one after the other, or weights that are read again");
        Assert.That(actual, Is.EqualTo(expected));
    }

    [Test]
    public void Collect_WeightsThatDoNotFit_AreReadAgainAndGiveTheSameBitsWithinThePlan(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName, [Values(FactorSource.FastKron, FactorSource.Activation)] FactorSource source)
    {
        using var temporary = new TemporaryFolder();
        using ModelFolder folder = ModelFolder.Open(GeneratedModel.Write(Path.Combine(temporary.Path, "model")));
        FisherOptions roomy = new() { Source = source, Gradients = Minibatches.Count, Solver = new SolverOptions { HalfSteps = 2 } };
        (Dictionary<string, float[]> expected, FisherPlan plan) = Collect(folder, backendName, roomy);
        // The least that the plan takes for a budget of nothing, which it says it cannot keep, has no resident block.
        using IBackend backend = Backends.Create(backendName);
        FisherPlan least = FisherPlan.Create(folder.Config, roomy with { MaxDeviceBytes = 1 }, MicroBatch.SizeOf(Minibatches), backend);
        (Dictionary<string, float[]> actual, FisherPlan tight) = Collect(folder, backendName, roomy with { MaxDeviceBytes = (long)(least.DeviceBytes / 0.95) + 2 });
        Assert.That(tight.ResidentBlocks, Is.LessThan(folder.Config.Layers));
        Assert.That(tight.DeviceBytes, Is.LessThan(plan.DeviceBytes));
        Assert.That(actual, Is.EqualTo(expected));
    }

    private static (Dictionary<string, float[]> Factors, FisherPlan Plan) Collect(ModelFolder folder, string backendName, FisherOptions options)
    {
        using IBackend backend = Backends.Create(backendName);
        FisherPlan plan = FisherPlan.Create(folder.Config, options, MicroBatch.SizeOf(Minibatches), backend);
        var factors = new Dictionary<string, float[]>();
        using (DecoderModel model = DecoderModel.Load(folder, backend, plan.ResidentBlocks))
        {
            var collector = new FisherCollector(model, options);
            collector.Collect(Minibatches, _ => true, f => factors.Add(f.Name, [.. f.HIn!.AsSpan<float>(), .. f.HOut is null ? [] : f.HOut.AsSpan<float>()]));
            Assert.That(collector.StageSeconds.Values, Is.All.GreaterThanOrEqualTo(0));
            Assert.That(collector.StageSeconds[CollectionStage.Forward], Is.Positive);
        }
        if (backend is GpuBackend gpu)
        {
            Assert.That(gpu.PeakBytes, Is.LessThanOrEqualTo(plan.DeviceBytes), "device memory");
            Assert.That(gpu.PeakHostBytes, Is.LessThanOrEqualTo(plan.HostBytes), "page-locked memory");
            Assert.That(gpu.UsedHostBytes, Is.Zero);
        }
        return (factors, plan);
    }
}
