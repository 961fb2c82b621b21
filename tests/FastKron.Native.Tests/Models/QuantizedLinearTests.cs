using System.Text.Json.Nodes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Incoherence;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class QuantizedLinearTests
{
    private const int Tokens = 5;

    // Float32 transforms and sums of some hundred terms: 1e-5 of the root mean square is about 100 roundings.
    private const double Tolerance = 1e-5;

    [TestCase(64, 96, 2)]
    [TestCase(96, 32, 3)]
    [TestCase(32, 320, 4)]
    public void Forward_RandomCodes_MultipliesWithTheRotatedAndScaledMatrix(int outputs, int inputs, int bits)
    {
        using var problem = new Problem(outputs, inputs, bits);
        using Tensor x = RandomModel.Normal(problem.Backend, Tokens, inputs, item: 30), y = problem.Backend.Allocate(DType.F32, Tokens, outputs);
        float[] before = x.AsSpan<float>().ToArray();
        problem.Linear.Forward(x, y);
        AssertClose(y, (t, i) => Sum(inputs, j => x.Row<float>(t)[j] * problem.Dense[i, j]));
        Assert.That(x.AsSpan<float>().ToArray(), Is.EqualTo(before));
    }

    [TestCase(64, 96, 2, false)]
    [TestCase(64, 96, 2, true)]
    [TestCase(32, 320, 4, true)]
    public void BackwardInput_RandomCodes_MultipliesWithTheTransposedMatrix(int outputs, int inputs, int bits, bool accumulate)
    {
        using var problem = new Problem(outputs, inputs, bits);
        using Tensor dy = RandomModel.Normal(problem.Backend, Tokens, outputs, item: 31), dx = RandomModel.Normal(problem.Backend, Tokens, inputs, item: 32);
        float[] old = dx.AsSpan<float>().ToArray();
        problem.Linear.BackwardInput(dy, dx, accumulate);
        AssertClose(dx, (t, j) => (accumulate ? old[t * inputs + j] : 0) + Sum(outputs, i => dy.Row<float>(t)[i] * problem.Dense[i, j]));
    }

    [Test]
    public void Constructor_WrongLengths_NamesTheLinear()
    {
        using IBackend backend = Backends.Create("cpu");
        using var workspace = new Workspace(backend);
        QuantizedWeights weights = RandomModel.Weights(32, 64, 2);
        Assert.That(() => new QuantizedLinear(backend, weights with { InputScale = new float[63] }, workspace),
            Throws.ArgumentException.With.Message.StartsWith("m: (32, 64) at 2 bits needs 256 code words, 64 input and 32 output scales; found 256, 63, 32"));
    }

    [Test]
    public void Load_QuantizedFolder_TakesCodesAndLeavesTheSkipListDense()
    {
        using IBackend backend = Backends.Create("cpu");
        using var temporary = new TemporaryFolder();
        using ModelFolder source = ModelFolder.Open(SharedData.Model("tiny-llama"));
        string output = temporary.File("quantized");
        using (QuantizedCheckpointWriter writer = QuantizedCheckpointWriter.Create(source, output, TrellisCodes.Hybrid(2), ["1_v", "3_down"]))
        {
            foreach (BlockLinear linear in BlockLinears.All)
            {
                (int outputs, int inputs) = linear.Shape(source.Config);
                for (int layer = 0; layer < source.Config.Layers; layer++)
                {
                    if (QuantizedCheckpoint.SkipName(linear, layer) is not ("1_v" or "3_down"))
                        writer.Write(RandomModel.Weights(outputs, inputs, 2) with { Name = linear.ModulePath(layer) });
                }
            }
            writer.Complete(new JsonObject());
        }
        using ModelFolder folder = ModelFolder.Open(output);
        using DecoderModel model = DecoderModel.Load(folder, backend);
        string[] dense = [.. model.Blocks.SelectMany(b => b.Linears).OfType<DenseLinear>().Select(l => l.Name)];
        var observer = new GradientCollector(backend);
        float[] losses = GradientCollector.Backpropagate(model, [RandomModel.Ids(20, 2048, item: 33)], 1f / 19, observer);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(dense, Is.EquivalentTo(["model.layers.1.self_attn.v_proj", "model.layers.3.mlp.down_proj"]));
            Assert.That(losses, Has.All.InRange(0, 100));
            Assert.That(observer.Gradients, Has.Count.EqualTo(28));
            Assert.That(observer.Gradients.Values.SelectMany(g => g).All(float.IsFinite));
        }
    }

    private static double Sum(int count, Func<int, double> term) => Enumerable.Range(0, count).Sum(term);

    private static void AssertClose(Tensor actual, Func<int, int, double> expected)
    {
        double[] values = [.. Enumerable.Range(0, actual.Rows * actual.Columns).Select(k => expected(k / actual.Columns, k % actual.Columns))];
        double rms = Math.Sqrt(values.Average(v => v * v));
        Assert.That(actual.AsSpan<float>().ToArray(), Is.EqualTo(values).Within(Tolerance * rms));
    }

    private sealed class Problem : IDisposable
    {
        private readonly Workspace _workspace;

        public Problem(int outputs, int inputs, int bits)
        {
            Backend = Backends.Create("cpu");
            _workspace = new Workspace(Backend);
            QuantizedWeights weights = RandomModel.Weights(outputs, inputs, bits);
            Linear = new QuantizedLinear(Backend, weights, _workspace);
            Dense = Expand(weights);
        }

        public IBackend Backend { get; }

        public QuantizedLinear Linear { get; }

        /// <summary>diag(SV) U_m Ŵ U_nᵀ diag(SU) in float64.</summary>
        public double[,] Dense { get; }

        public void Dispose()
        {
            Linear.Dispose();
            _workspace.Dispose();
            Backend.Dispose();
        }

        private double[,] Expand(QuantizedWeights weights)
        {
            int m = weights.Rows, n = weights.Columns;
            using Tensor codes = Backend.Allocate(DType.U16, m * n / 256, weights.Codebook.PackedWords), decoded = Backend.Allocate(DType.F32, m, n);
            Backend.Upload<ushort>(weights.Codes, codes);
            Backend.DecodeMatrix(new TrellisMatrix(codes, weights.Codebook, weights.Layout, m, n), decoded);
            HadamardFactor left = HadamardFactors.For(m), right = HadamardFactors.For(n);
            double[,] half = new double[m, n], dense = new double[m, n];
            for (int i = 0; i < m; i++)
            {
                for (int j = 0; j < n; j++)
                    half[i, j] = Sum(n, l => decoded.Row<float>(i)[l] * HadamardReference.Entry(right, j, l)) * weights.InputScale[j];
            }
            for (int i = 0; i < m; i++)
            {
                for (int j = 0; j < n; j++)
                    dense[i, j] = weights.OutputScale[i] * Sum(m, l => HadamardReference.Entry(left, i, l) * half[l, j]);
            }
            return dense;
        }
    }
}
