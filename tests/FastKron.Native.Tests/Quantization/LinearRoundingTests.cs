using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.TestModels;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class LinearRoundingTests
{
    private static readonly TestModelPreset Preset = new("small-llama", "llama", 300, 64, 96, 2, 4, 2, 16, 128, 10000, 1e-5, false, 1, 2);

    // They are read by several threads; that the others' memory is freed is checked at the end of all tests.
    [Test]
    public void Run_FactorsThatCannotBeRead_ThrowsWhatTheReaderThrew()
    {
        static KroneckerFactors? Read(LinearShape linear)
        {
            if (linear.ShortName == "1_k")
                throw new InvalidDataException("1_k is damaged");
            return new KroneckerFactors(linear.Name, null, Tensor.AllocateHost(DType.F32, linear.Columns, linear.Columns), new FactorEvidence { Source = "test" });
        }

        Assert.That(() => Round(Read, (_, _) => { }), Throws.TypeOf<InvalidDataException>().With.Message.EqualTo("1_k is damaged"));
    }

    // Batches of several shapes, each given back once, in the order of the batches.
    [Test]
    public void Run_WithoutFactors_AcceptsEveryLinearOnce()
    {
        var accepted = new List<(string Name, string Result)>();
        Round(_ => null, (linear, result) => accepted.Add((linear.Name, result.Weights.Name)));
        Assert.That(accepted.Select(a => a.Name), Is.EquivalentTo(Enumerable.Range(0, 2).SelectMany(layer => BlockLinears.All.Select(kind => kind.ModulePath(layer)))));
        Assert.That(accepted, Has.All.Matches<(string Name, string Result)>(a => a.Name == a.Result));
    }

    // Equal matrices of equal factors: what differs is the scale of the Fisher matrix, by which a K costs or saves.
    [Test]
    public void Allocate_ScalesOfFactors_DecideWhoGetsTheBits()
    {
        static KroneckerFactors Read(LinearShape linear) => Identity(linear, linear.ShortName switch { "0_k" => 1e6, "1_down" => 1e-6, _ => 1 });

        Dictionary<string, int> bits = Allocate(Read);
        Assert.That(bits[BlockLinear.Key.ModulePath(0)], Is.EqualTo(4));
        Assert.That(bits[BlockLinear.Down.ModulePath(1)], Is.EqualTo(2));
        Assert.That(bits[BlockLinear.Key.ModulePath(1)], Is.LessThan(4));
    }

    [Test]
    public void Allocate_FactorsOfActivations_AreRefused() => Assert.That(
        () => Allocate(linear =>
        {
            using KroneckerFactors both = Identity(linear, 1);
            return new KroneckerFactors(linear.Name, null, null, both.Evidence);
        }),
        Throws.TypeOf<InvalidDataException>().With.Message.Contains("expected both factors of the Fisher matrix"));

    private static KroneckerFactors Identity(LinearShape linear, double scale)
    {
        static Tensor Matrix(int size)
        {
            Tensor identity = Tensor.AllocateHost(DType.F32, size, size);
            identity.AsSpan<float>().Clear();
            for (int i = 0; i < size; i++)
                identity.Row<float>(i)[i] = 1;
            return identity;
        }

        return new KroneckerFactors(linear.Name, Matrix(linear.Rows), Matrix(linear.Columns), new FactorEvidence { Source = "test", Scale = scale });
    }

    private static Dictionary<string, int> Allocate(Func<LinearShape, KroneckerFactors?> factors)
    {
        using var temporary = new TemporaryFolder();
        string model = Path.Combine(temporary.Path, "model");
        TestModelWriter.Write(Preset, model, seed: 0, calibrationTokens: 10, CancellationToken.None);
        using ModelFolder folder = ModelFolder.Open(model);
        using IBackend backend = new CpuBackend();
        var options = new QuantizationOptions { Model = model, Output = Path.Combine(temporary.Path, "output"), Bits = 2.5, Code = TrellisCode.Hybrid };
        return new LinearRounding(backend, folder, options, _ => throw new InvalidOperationException("there are no bits yet"), factors)
            .Allocate(LinearShape.AllOf(folder.Config), progress: null, CancellationToken.None);
    }

    private static void Round(Func<LinearShape, KroneckerFactors?> factors, Action<LinearShape, RoundedLinear> accept)
    {
        using var temporary = new TemporaryFolder();
        string model = Path.Combine(temporary.Path, "model");
        TestModelWriter.Write(Preset, model, seed: 0, calibrationTokens: 10, CancellationToken.None);
        using ModelFolder folder = ModelFolder.Open(model);
        using IBackend backend = new CpuBackend();
        var options = new QuantizationOptions { Model = model, Output = Path.Combine(temporary.Path, "output"), Propagate = 0 };
        IReadOnlyList<LinearShape> linears = LinearShape.AllOf(folder.Config);
        new LinearRounding(backend, folder, options, _ => 2, factors).Run(
            linears, linears, linear => throw new InvalidOperationException(linear.Name), () => null, accept, CancellationToken.None);
    }
}
