using System.Security.Cryptography;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

/// <summary>The sweeps on a small random decoder of four blocks.</summary>
[TestFixture("cpu")]   // the random model and the comparisons are float32 on the host; a GPU holds activations in BF16
public sealed class GradientSweepTests(string backendName)
{
    private const int Layers = 4;

    private readonly IBackend _backend = Backends.Create(backendName);
    private DecoderModel _model = null!;

    private static readonly FisherOptions Single = new() { GradientType = DType.F32 };

    // Three minibatches of several sequences of odd lengths.
    private static readonly IReadOnlyList<IReadOnlyList<int[]>> Minibatches =
    [
        [RandomModel.Ids(7, 40, 1), RandomModel.Ids(12, 40, 2), RandomModel.Ids(1, 40, 3)],
        [RandomModel.Ids(20, 40, 4)],
        [RandomModel.Ids(3, 40, 5), RandomModel.Ids(3, 40, 6), RandomModel.Ids(9, 40, 7), RandomModel.Ids(5, 40, 8)],
    ];

    [OneTimeSetUp]
    public void Create() => _model = RandomModel.Create(_backend, RandomModel.Config(ModelFamily.Qwen3, Layers));

    [OneTimeTearDown]
    public void Release()
    {
        _model.Dispose();
        _backend.Dispose();
    }

    [Test]
    public void Run_TrueLabels_EqualsPlainBackpropagationOfEachMinibatch()
    {
        Dictionary<string, float[][]> swept = Sweep(Single with { Labels = LabelSource.True });
        Assert.That(swept, Has.Count.EqualTo(7 * Layers));
        for (int k = 0; k < Minibatches.Count; k++)
        {
            int labels = Minibatches[k].Sum(s => s.Length - 1);
            var plain = new GradientCollector(_backend);
            GradientCollector.Backpropagate(_model, Minibatches[k], 1f / labels, plain);
            foreach ((string name, float[] expected) in plain.Gradients)
                Assert.That(RelativeError(swept[name][k], expected), Is.LessThan(1e-6), $"{name}, gradient {k}");
        }
    }

    [Test]
    public void Run_AnyMicroBatches_GivesTheSameGradients([Values] LabelSource labels)
    {
        // Invariant 6: packing must not matter; 1e-5 is the bound for another order of f32 sums. Sampled labels follow the token,
        // not the batch.
        FisherOptions options = Single with { Labels = labels, Seed = 5 };
        Dictionary<string, float[][]> whole = Sweep(options), apart = Sweep(options with { MicroBatchTokens = 1 });
        foreach ((string name, float[][] gradients) in whole)
        {
            for (int k = 0; k < gradients.Length; k++)
                Assert.That(RelativeError(apart[name][k], gradients[k]), Is.LessThan(1e-5), $"{name}, gradient {k}");
        }
    }

    [TestCase(4, 1)]
    [TestCase(3, 1)]
    [TestCase(3, 6)]
    public void Run_LittleMemory_RecomputesTheSameBits(int states, int groups)
    {
        FisherOptions tight = Tight(states, groups);
        FisherPlan plan = Plan(tight);
        Assert.That((plan.ResidentStates, plan.RecomputedBlocks, plan.Groups.Count), Is.EqualTo((states, Layers - states, groups)), "the first block's input is the embedding");
        Assert.That(plan.Warning, Is.Null);
        Assert.That(Sweep(tight), Is.EqualTo(Sweep(Single)));
    }

    [Test]
    public void Plan_TooLittleMemory_WarnsAndTakesTheLeast()
    {
        // 4 blocks: states for two inputs and the gradient are the least.
        FisherPlan plan = Plan(Tight(states: 2, groups: 6), _model);
        Assert.That(plan.ResidentStates, Is.EqualTo(3));
        Assert.That(plan.Warning, Does.Contain("GB are needed").And.Contain("--tokens"));
    }

    [Test]
    public void Run_SomeLinears_GivesTheirSameBits()
    {
        string[] wanted = ["model.layers.1.mlp.up_proj", "model.layers.3.self_attn.q_proj"];
        Dictionary<string, float[][]> all = Sweep(Single), some = Sweep(Single, wanted.Contains);
        Assert.That(some.Keys, Is.EqualTo(wanted.Reverse()), "from the last block to the first");
        foreach (string name in wanted)
            Assert.That(some[name], Is.EqualTo(all[name]));
        Assert.That(Sweep(Single, _ => false), Is.Empty);
    }

    [Test]
    public void Run_Seeds_ChangeSampledLabelsOnly()
    {
        string name = "model.layers.0.mlp.down_proj";
        Assert.That(Sweep(Single with { Seed = 1 })[name], Is.Not.EqualTo(Sweep(Single with { Seed = 2 })[name]));
        FisherOptions real = Single with { Labels = LabelSource.True };
        Assert.That(Sweep(real with { Seed = 1 })[name], Is.EqualTo(Sweep(real with { Seed = 2 })[name]));
    }

    [Test]
    public void Run_MeanCentering_LeavesGradientsThatSumToZero()
    {
        float[][] gradients = Sweep(Single with { Centering = GradientCentering.Mean })["model.layers.2.self_attn.v_proj"];
        double scale = Math.Sqrt(gradients.Sum(g => g.Sum(v => (double)v * v)) / gradients[0].Length);
        for (int i = 0; i < gradients[0].Length; i++)
            Assert.That(gradients.Sum(g => (double)g[i]), Is.Zero.Within(1e-6 * scale));
    }

    [Test]
    public void Run_Always_LeavesTheWeightsUnchanged()
    {
        byte[] before = Hash();
        Sweep(new FisherOptions());
        Moments(new FisherOptions());
        Assert.That(Hash(), Is.EqualTo(before));
    }

    [Test]
    public void Run_Cancelled_StopsAndFreesItsMemory()
    {
        long before = HostMemory.OutstandingBytes;
        Sweep(Single);   // the model's scratch memory has its size from here on
        before = HostMemory.OutstandingBytes;
        for (int reports = 0; reports < 8; reports++)
        {
            using var source = new CancellationTokenSource();
            int left = reports;
            var progress = new Progress(_ =>
            {
                if (left-- == 0)
                    source.Cancel();
            });
            var sweep = new GradientSweep(_model, Single);
            Assert.Throws<OperationCanceledException>(() => sweep.Run(Minibatches, _ => true, _ => { }, progress, source.Token));
            Assert.That(HostMemory.OutstandingBytes, Is.EqualTo(before));
        }
    }

    [Test]
    public void Run_Progress_RisesToOne([Values] FactorSource source, [Values] bool tight)
    {
        var seen = new List<FisherProgress>();
        FisherOptions options = (tight ? Tight(states: 3, groups: 1) : Single) with { Source = source };
        new FisherCollector(_model, options).Collect(
            Minibatches, name => !name.Contains("layers.0."), factors => factors.Dispose(), new Progress(seen.Add));
        Assert.That(seen.Select(p => p.Fraction), Is.Ordered);
        Assert.That(seen[^1].Fraction, Is.EqualTo(1).Within(1e-9));
        Assert.That(seen[^1].Remaining, Is.EqualTo(TimeSpan.Zero).Within(TimeSpan.FromMilliseconds(1)));
        Assert.That(seen.Count(p => p.Module is not null), Is.EqualTo(7 * (Layers - 1)));
    }

    [Test]
    public void Run_NoMinibatch_Throws()
    {
        var sweep = new GradientSweep(_model, Single with { Labels = LabelSource.True });
        Assert.Throws<ArgumentException>(() => sweep.Run([], _ => true, _ => { }));
        Assert.Throws<ArgumentException>(() => sweep.Run([[]], _ => true, _ => { }));
        Assert.Throws<ArgumentException>(() => sweep.Run([[[1], [2]]], _ => true, _ => { }), "no token has a successor");
    }

    [Test]
    public void Collect_FastKron_FitsEveryLinearFromItsStack()
    {
        var options = new FisherOptions { GradientType = DType.F32, Solver = new SolverOptions { HalfSteps = 4 } };
        var fitted = new Dictionary<string, (float[] Out, float[] In)>();
        new FisherCollector(_model, options).Collect(Minibatches, _ => true, factors =>
        {
            fitted.Add(factors.Name, (factors.HOut!.AsSpan<float>().ToArray(), factors.HIn!.AsSpan<float>().ToArray()));
            FactorEvidence e = factors.Evidence;
            Assert.That((e.Source, e.Solver, e.Labels), Is.EqualTo(("fastkron", "likelihood", "sampled")));
            Assert.That((e.Gradients, e.Tokens, e.HalfSteps), Is.EqualTo((3, 60L, 4)));
        });
        Assert.That(fitted, Has.Count.EqualTo(7 * Layers));
        new GradientSweep(_model, options).Run(Minibatches, name => name.EndsWith("down_proj", StringComparison.Ordinal), stacks =>
        {
            // Alone; above beside the other linears of its block.
            IKrausStream stack = stacks.Single();
            using SolvedFactors solved = FactorSolvers.Solve(stack, options.Solver);
            Assert.That(solved.HOut.AsSpan<float>().ToArray(), Is.EqualTo(fitted[stack.Name].Out));
            Assert.That(solved.HIn.AsSpan<float>().ToArray(), Is.EqualTo(fitted[stack.Name].In));
        });
    }

    [Test]
    public void Collect_Activation_GivesSecondMomentsOfTheInputs()
    {
        Dictionary<string, (float[] Factor, double Scale)> moments = Moments(new FisherOptions { MicroBatchTokens = 16 });
        Assert.That(moments, Has.Count.EqualTo(7 * Layers));
        var observer = new MomentObserver();
        foreach (IReadOnlyList<int[]> minibatch in Minibatches)
            GradientCollector.Backpropagate(_model, minibatch, 1, observer);
        foreach ((string name, double[,] sum) in observer.Moments)
        {
            double trace = Dense.Trace(sum) / sum.GetLength(0);
            float[] expected = [.. sum.Cast<double>().Select(v => (float)(v / trace))];
            Assert.That(RelativeError(moments[name].Factor, expected), Is.LessThan(1e-5), name);
            Assert.That(moments[name].Scale, Is.EqualTo(trace / Minibatches.Sum(m => m.Sum(s => s.Length))).Within(1e-3).Percent, "a mean over tokens");
        }
        Assert.That(moments["model.layers.2.self_attn.k_proj"].Factor, Is.EqualTo(moments["model.layers.2.self_attn.q_proj"].Factor), "one input");
        Assert.That(moments["model.layers.2.self_attn.o_proj"].Factor, Is.Not.EqualTo(moments["model.layers.2.self_attn.q_proj"].Factor));
    }

    [Test]
    public void Plan_KnownShapes_CountsBytes()
    {
        ModelConfig config = _model.Config;   // hidden 24, queries 32, keys 16, intermediate 28
        long weights = 24 * 32 + 2 * 24 * 16 + 32 * 24 + 3 * 24 * 28;
        FisherPlan plan = FisherPlan.Create(config, new FisherOptions { Gradients = 10 }, new CollectionSize(1000, 20), _backend);
        Assert.That(plan.StackBytes, Is.EqualTo(weights * 10 * 2));
        Assert.That(plan.WeightBytes, Is.EqualTo(_model.WeightBytes + 64 * 8 * sizeof(float)), "64 positions of rotary tables");
        Assert.That(plan.StateBytes, Is.EqualTo(1000L * 24 * 4));
        Assert.That((plan.ResidentStates, plan.HostStates, plan.RecomputedBlocks), Is.EqualTo((Layers + 1, 0, 0)));
        FisherPlan activation = FisherPlan.Create(config, new FisherOptions { Source = FactorSource.Activation }, new CollectionSize(1000, 20), _backend);
        Assert.That(activation.ResidentStates, Is.EqualTo(1));
        Assert.That(activation.StackBytes, Is.EqualTo((24 * 24 + 32 * 32 + 24 * 24 + 28 * 28) * 4));
    }

    // Memory for so many states and no more, with a block's stacks in one group, or in six: those of q, which are the largest, or of k and v.
    private FisherOptions Tight(int states, int groups)
    {
        FisherPlan roomy = Plan(Single);
        long stacks = groups == 1 ? roomy.StackBytes : 32 * 24 * sizeof(float) * Minibatches.Count;
        long rest = roomy.DeviceBytes - roomy.StackBytes - roomy.ResidentStates * roomy.StateBytes;
        long bytes = rest + states * roomy.StateBytes + stacks;
        return Single with { MaxDeviceBytes = (long)(bytes / 0.95) + 2 };
    }

    private FisherPlan Plan(FisherOptions options, DecoderModel? loaded = null) =>
        FisherPlan.Create(_model.Config, options with { Gradients = Minibatches.Count }, MicroBatch.SizeOf(Minibatches), _backend, loaded);

    private Dictionary<string, float[][]> Sweep(FisherOptions options, Func<string, bool>? isWanted = null)
    {
        var gradients = new Dictionary<string, float[][]>();
        new GradientSweep(_model, options).Run(Minibatches, isWanted ?? (_ => true), streams =>
        {
            foreach (GradientStack stack in streams.Cast<GradientStack>())
                gradients.Add(stack.Name, [.. Enumerable.Range(0, stack.Count).Select(k => Download(stack, k))]);
        });
        return gradients;
    }

    private float[] Download(GradientStack stack, int index)
    {
        using Tensor gradient = _backend.Allocate(DType.F32, stack.Outputs, stack.Inputs);
        _backend.Convert(stack.Gradient(index), gradient);
        return gradient.AsSpan<float>().ToArray();
    }

    private Dictionary<string, (float[] Factor, double Scale)> Moments(FisherOptions options)
    {
        var moments = new Dictionary<string, (float[] Factor, double Scale)>();
        new FisherCollector(_model, options with { Source = FactorSource.Activation }).Collect(Minibatches, _ => true, factors =>
        {
            Assert.That(factors.HOut, Is.Null);
            moments.Add(factors.Name, (factors.HIn!.AsSpan<float>().ToArray(), factors.Evidence.Scale));
        });
        return moments;
    }

    private byte[] Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (DenseLinear linear in _model.Blocks.SelectMany(b => b.Linears).Cast<DenseLinear>())
            hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(linear.Weight.AsSpan<float>()));
        return hash.GetHashAndReset();
    }

    private static double RelativeError(float[] actual, float[] expected)
    {
        double difference = 0, norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            difference += Math.Pow(actual[i] - expected[i], 2);
            norm += Math.Pow(expected[i], 2);
        }
        return Math.Sqrt(difference / norm);
    }

    private sealed class Progress(Action<FisherProgress> report) : IProgress<FisherProgress>
    {
        public void Report(FisherProgress value) => report(value);
    }

    private sealed class MomentObserver : ILinearObserver
    {
        public Dictionary<string, double[,]> Moments { get; } = [];

        public void Observe(ILinear linear, Tensor x, Tensor d)
        {
            double[,] rows = Dense.ToArray(x), moment = Dense.Multiply(Dense.Transpose(rows), rows);
            if (!Moments.TryAdd(linear.Name, moment))
            {
                double[,] sum = Moments[linear.Name];
                for (int i = 0; i < moment.Length; i++)
                    sum[i / linear.Inputs, i % linear.Inputs] += moment[i / linear.Inputs, i % linear.Inputs];
            }
        }
    }
}
