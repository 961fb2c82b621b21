using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class DecoderBlockTests
{
    private static readonly int[][] Sequences = [RandomModel.Ids(7, 40, item: 1), RandomModel.Ids(1, 40, item: 2), RandomModel.Ids(5, 40, item: 3)];

    [Test]
    public void Backward_RandomDirections_MatchesFiniteDifferences([Values] ModelFamily family)
    {
        using var problem = new BlockProblem(family);
        (float[] inputGradient, GradientCollector weights) = problem.Gradients();
        using (Assert.EnterMultipleScope())
        {
            for (uint direction = 0; direction < 3; direction++)
                AssertDerivative(problem, problem.Input, inputGradient, direction, "input");
            foreach (ILinear linear in problem.Block.Linears)
                AssertDerivative(problem, ((DenseLinear)linear).Weight, weights.Gradients[linear.Name], 9, linear.Name);
        }
    }

    [Test]
    public void Backward_AnyModel_ObservesEachLinearOnceWithItsShapes([Values] ModelFamily family)
    {
        using var problem = new BlockProblem(family);
        var seen = new List<string>();
        problem.Backward(new Recorder((linear, x, d) =>
        {
            seen.Add(linear.Name);
            Assert.That((x.Rows, x.Columns, d.Rows, d.Columns), Is.EqualTo((problem.Batch.Tokens, linear.Inputs, problem.Batch.Tokens, linear.Outputs)));
        }));
        Assert.That(seen, Is.EquivalentTo(BlockLinears.All.Select(l => l.ModulePath(0))));
    }

    [Test]
    public void Backward_AnyModel_ChangesNeitherInputNorWeights([Values] ModelFamily family)
    {
        using var problem = new BlockProblem(family);
        byte[][] before = problem.Bytes();
        problem.Gradients();
        Assert.That(problem.Bytes(), Is.EqualTo(before));
    }

    [Test]
    public void Forward_CalledAgain_AllocatesNoTensor()
    {
        using var problem = new BlockProblem(ModelFamily.Qwen3);
        problem.Loss();
        long native = HostMemory.OutstandingBytes;
        problem.Loss();
        Assert.That(HostMemory.OutstandingBytes, Is.LessThanOrEqualTo(native));   // the collector may free other tests' leftovers
    }

    // d/dε loss(parameter + ε v) at 0, from four evaluations (error ε⁴), against ⟨gradient, v⟩. The loss sums 312 values of about 1 in float32 with
    // 1e-7 relative rounding each, so the quotient is off by some 1e-5 of ‖gradient‖‖v‖/√n; 3e-4 leaves room for the fourth-order term.
    private static void AssertDerivative(BlockProblem problem, Tensor parameter, float[] gradient, uint item, string name)
    {
        const double Epsilon = 4e-3;
        using Tensor v = RandomModel.Normal(problem.Backend, parameter.Rows, parameter.Columns, 1000 + item);
        double Shifted(double step)
        {
            problem.Backend.Axpy(step, v, parameter);
            double loss = problem.Loss();
            problem.Backend.Axpy(-step, v, parameter);
            return loss;
        }
        double narrow = (Shifted(Epsilon) - Shifted(-Epsilon)) / (2 * Epsilon), wide = (Shifted(2 * Epsilon) - Shifted(-2 * Epsilon)) / (4 * Epsilon);
        double numeric = (4 * narrow - wide) / 3, analytic = 0, norm = 0;
        Span<float> direction = v.AsSpan<float>();
        for (int i = 0; i < gradient.Length; i++)
        {
            analytic += (double)gradient[i] * direction[i];
            norm += (double)gradient[i] * gradient[i];
        }
        Assert.That(numeric, Is.EqualTo(analytic).Within(3e-4 * Math.Sqrt(norm)), name);
    }

    private sealed class Recorder(Action<ILinear, Tensor, Tensor> observe) : ILinearObserver
    {
        public void Observe(ILinear linear, Tensor x, Tensor d) => observe(linear, x, d);
    }

    /// <summary>Loss = ⟨R, block(input)⟩ with a random R.</summary>
    private sealed class BlockProblem : IDisposable
    {
        private readonly DecoderModel _model;
        private readonly Tensor _r, _output;

        public BlockProblem(ModelFamily family)
        {
            Backend = Backends.Create("cpu");
            _model = RandomModel.Create(Backend, RandomModel.Config(family, layers: 1));
            Batch = PackedBatch.Create(Backend, _model.Config, Sequences);
            Input = RandomModel.Normal(Backend, Batch.Tokens, _model.Config.HiddenSize, 500);
            _r = RandomModel.Normal(Backend, Batch.Tokens, _model.Config.HiddenSize, 501);
            _output = Backend.Allocate(DType.F32, Batch.Tokens, _model.Config.HiddenSize);
        }

        public IBackend Backend { get; }

        public PackedBatch Batch { get; }

        public Tensor Input { get; }

        public DecoderBlock Block => _model.Blocks[0];

        public double Loss()
        {
            Backend.Convert(Input, _output);
            Block.Forward(Batch, _output);
            return Backend.Dot(_r, _output);
        }

        public float[] Backward(ILinearObserver observer)
        {
            using Tensor gradient = Backend.Allocate(DType.F32, _r.Rows, _r.Columns);
            Backend.Convert(_r, gradient);
            Block.Backward(Batch, Input, gradient, observer);
            return gradient.AsSpan<float>().ToArray();
        }

        public (float[] Input, GradientCollector Weights) Gradients()
        {
            var collector = new GradientCollector(Backend);
            return (Backward(collector), collector);
        }

        public byte[][] Bytes() =>
            [.. Block.Linears.Select(l => ((DenseLinear)l).Weight).Append(Input).Select(t => System.Runtime.InteropServices.MemoryMarshal.AsBytes(t.AsSpan<float>()).ToArray())];

        public void Dispose()
        {
            _r.Dispose();
            _output.Dispose();
            Input.Dispose();
            Batch.Dispose();
            _model.Dispose();
            Backend.Dispose();
        }
    }
}
