using System.Runtime.InteropServices;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

/// <summary>Factor files of FastKron (XF, YF) and YAQA (torch triangles) beside our own.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class FactorFolderTests : IDisposable
{
    private const string Published = "model_layers_3_mlp_down_proj.safetensors", Own = "model.layers.3.mlp.down_proj.safetensors";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Read_GoldenSketch_IsTheSymmetricMatrixWithMeanDiagonalOne()
    {
        File.WriteAllBytes(_folder.File("3_down_hin.pt"), GoldenFile.Read("sketch_hin.pt"));
        using KroneckerFactors factors = Read(outputs: 7, inputs: 4);
        Assert.That((factors.Name, factors.HOut, factors.Evidence.Source, factors.Evidence.Scale), Is.EqualTo(("model.layers.3.mlp.down_proj", (Tensor?)null, "sketch", 5.0)));
        float[] expected = [2, 0.5f, -1, 1.5f, 0.5f, 4, 0.25f, -0.75f, -1, 0.25f, 6, 0.125f, 1.5f, -0.75f, 0.125f, 8];
        Assert.That(factors.HIn!.AsSpan<float>().ToArray(), Is.EqualTo(expected.Select(value => value / 5)));
    }

    [Test]
    public void Require_OwnFileOfAnotherShape_IsRefusedFromItsHeadAlone()
    {
        using (var hIn = Tensor.AllocateHost(DType.F32, 2, 2))
        {
            hIn.AsSpan<float>()[0] = hIn.AsSpan<float>()[3] = 1;
            FactorFile.Write(_folder.File(Own), new KroneckerFactors("model.layers.3.mlp.down_proj", null, hIn, new FactorEvidence { Source = "activation" }));
        }
        FactorFolder.Require(_folder.Path, BlockLinear.Down, 3, outputs: 5, inputs: 2);
        Assert.That(() => FactorFolder.Require(_folder.Path, BlockLinear.Down, 3, outputs: 5, inputs: 4), Throws.TypeOf<InvalidDataException>().With.Message.Contains("of another model"));
        Assert.That(() => FactorFolder.Require(_folder.Path, BlockLinear.Down, 2, outputs: 5, inputs: 2), Throws.TypeOf<InvalidDataException>().With.Message.Contains("found no factors"));
    }

    [Test]
    public void Read_SketchOfBothSides_GivesBoth()
    {
        TorchFiles.Write(_folder.File("3_down_hout.pt"), [4, 0, 4, 1, 1, 4]);
        TorchFiles.Write(_folder.File("3_down_hin.pt"), [0.5f, 0.25f, 1.5f]);
        using KroneckerFactors factors = Read(outputs: 3, inputs: 2);
        Assert.That(factors.HOut!.AsSpan<float>().ToArray(), Is.EqualTo(new[] { 1, 0, 0.25f, 0, 1, 0.25f, 0.25f, 0.25f, 1 }));
        Assert.That(factors.HIn!.AsSpan<float>().ToArray(), Is.EqualTo(new[] { 0.5f, 0.25f, 0.25f, 1.5f }));
        Assert.That(factors.Evidence.Scale, Is.EqualTo(4));
    }

    // Both factors negative, as Lanczos may leave them; XF not quite symmetric.
    [Test]
    public void Read_PublishedFile_TurnsTheSignAndSymmetrises()
    {
        WritePublished([-2, -0.5f, -1.5f, -6], [-0.5f, 0.25f, 0, 0.25f, -0.5f, 0, 0, 0, -0.5f], [8, 2]);
        using KroneckerFactors factors = Read(outputs: 2, inputs: 3);
        Assert.That(factors.HOut!.AsSpan<float>().ToArray(), Is.EqualTo(new[] { 0.5f, 0.25f, 0.25f, 1.5f }));
        Assert.That(factors.HIn!.AsSpan<float>().ToArray(), Is.EqualTo(new[] { 1, -0.5f, 0, -0.5f, 1, 0, 0, 0, 1 }));
        FactorEvidence evidence = factors.Evidence;
        Assert.That((evidence.Source, evidence.Solver, evidence.Scale, evidence.Sigma1, evidence.SigmaRatio), Is.EqualTo(("fastkron", "lanczos", 2.0, 8.0, 0.25)));
    }

    [Test]
    public void Read_OwnFile_GivesIt()
    {
        WriteOwn();
        using KroneckerFactors factors = Read(outputs: 3, inputs: 2);
        Assert.That(factors.HIn!.AsSpan<float>().ToArray(), Is.EqualTo(new[] { 1f, 0, 0, 1 }));
    }

    [Test]
    public void Read_NothingOrTwoKinds_SaysWhatIsExpected()
    {
        Assert.That(() => Read(3, 2), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(_folder.Path)
            .And.Message.Contains("found no factors").And.Message.Contains(Own).And.Message.Contains(Published).And.Message.Contains("3_down_hin.pt"));
        WriteOwn();
        TorchFiles.Write(_folder.File("3_down_hin.pt"), [0.5f, 0.25f, 1.5f]);
        Assert.That(() => Read(3, 2), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"found {Own} and 3_down_hin.pt"));
    }

    [Test]
    public void Read_SketchOfAnotherShape_NamesFileAndShape()
    {
        TorchFiles.Write(_folder.File("3_down_hout.pt"), [4, 0, 4, 1, 1, 4]);
        Assert.That(() => Read(4, 2), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(_folder.File("3_down_hout.pt")).And.Message.Contains("(6)").And.Message.Contains("(10)"));
    }

    [TestCase(float.NaN, "NaN")]
    [TestCase(float.NegativeInfinity, "-Infinity")]
    [TestCase(-0.5f, "mean diagonal 0")]
    public void Read_DamagedSketch_NamesWhatIsWrong(float last, string named)
    {
        TorchFiles.Write(_folder.File("3_down_hin.pt"), [0.5f, 0.25f, last]);
        Assert.That(() => Read(3, 2), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(_folder.File("3_down_hin.pt")).And.Message.Contains(named).And.Message.Not.Contains("\n"));
    }

    [Test]
    public void Read_DamagedPublishedFile_NamesTheTensor()
    {
        WritePublished([1, 0, 0, 1], [1, 0, 0, 1], []);
        Assert.That(() => Read(2, 3), Refused("YF: found F32 (2, 2), expected F32 (3, 3)"));
        WritePublished([1, float.NaN, 0, 1], [1, 0, 0, 1], []);
        Assert.That(() => Read(2, 2), Refused("XF (1, 0): found NaN"));
        WritePublished([1, 0, 0, -1], [1, 0, 0, 1], []);
        Assert.That(() => Read(2, 2), Refused("XF: found mean diagonal 0"));
        using (SafetensorsWriter writer = SafetensorsWriter.Create(_folder.File(Published), [new("XF", SafetensorsType.F32, [1, 1])]))
        {
            writer.Write("XF", BitConverter.GetBytes(1f));
            writer.Commit();
        }
        Assert.That(() => Read(1, 1), Refused("no tensor YF"));

        NUnit.Framework.Constraints.IResolveConstraint Refused(string message) => Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(_folder.File(Published)).And.Message.Contains(message);
    }

    private KroneckerFactors Read(int outputs, int inputs) => FactorFolder.Read(_folder.Path, BlockLinear.Down, 3, outputs, inputs);

    private void WriteOwn()
    {
        Tensor hIn = Tensor.AllocateHost(DType.F32, 2, 2);
        ((ReadOnlySpan<float>)[1, 0, 0, 1]).CopyTo(hIn.AsSpan<float>());
        using KroneckerFactors factors = new("model.layers.3.mlp.down_proj", null, hIn, new FactorEvidence { Source = "activation" });
        FactorFile.Write(_folder.File(Own), factors);
    }

    private void WritePublished(float[] left, float[] right, float[] sigma)
    {
        (string Name, float[] Values, long[] Shape)[] tensors =
        [
            ("XF", left, Square(left.Length)), ("YF", right, Square(right.Length)), .. sigma.Length > 0 ? [("s", sigma, [sigma.Length])] : Array.Empty<(string, float[], long[])>(),
        ];
        using SafetensorsWriter writer = SafetensorsWriter.Create(_folder.File(Published), tensors.Select(t => new SafetensorsTensor(t.Name, SafetensorsType.F32, t.Shape)));
        foreach ((string name, float[] values, _) in tensors)
            writer.Write(name, MemoryMarshal.AsBytes(values.AsSpan()));
        writer.Commit();

        static long[] Square(int length) => [(long)Math.Sqrt(length), (long)Math.Sqrt(length)];
    }
}
