using System.Text;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

public sealed class FactorFileTests
{
    private const string Name = "model.layers.3.mlp.down_proj";

    private static readonly FactorEvidence Evidence = new()
    {
        Source = "fastkron",
        Solver = "likelihood",
        Gradients = 75,
        Tokens = 712_500,
        Labels = "sampled",
        HalfSteps = 6,
        Scale = 1.25e-9,
        Sigma1 = 0.1,
        SigmaRatio = 0.3,
        Explained = 0.7,
        ChangeOut = [1.5, 0.1],
        ChangeIn = [2.5, 0.2],
        LogLikelihood = [-3e7, -2e7],
        Seconds = 0.125,
    };

    [Test]
    public void Read_WrittenFile_GivesFactorsAndEvidenceBack()
    {
        using var folder = new TemporaryFolder();
        using KroneckerFactors factors = Factors(5, 8);
        string path = Path.Combine(folder.Path, FactorFile.NameOf(Name));
        FactorFile.Write(path, factors);
        using KroneckerFactors read = FactorFile.Read(path, Name, outputs: 5, inputs: 8);
        Assert.That(read.HOut!.AsSpan<float>().ToArray(), Is.EqualTo(factors.HOut!.AsSpan<float>().ToArray()));
        Assert.That(read.HIn!.AsSpan<float>().ToArray(), Is.EqualTo(factors.HIn!.AsSpan<float>().ToArray()));
        // Records compare lists by reference, so the lists are compared on their own.
        Assert.That(read.Evidence with { ChangeOut = Evidence.ChangeOut, ChangeIn = Evidence.ChangeIn, LogLikelihood = Evidence.LogLikelihood }, Is.EqualTo(Evidence));
        Assert.That(read.Evidence.ChangeOut, Is.EqualTo(Evidence.ChangeOut));
        Assert.That(read.Evidence.ChangeIn, Is.EqualTo(Evidence.ChangeIn));
        Assert.That(read.Evidence.LogLikelihood, Is.EqualTo(Evidence.LogLikelihood));
        Assert.That(FactorFile.ReadEvidence(path, Name).LogLikelihood, Is.EqualTo(Evidence.LogLikelihood));
        Assert.That(Directory.GetFiles(folder.Path), Has.Length.EqualTo(1), "no temporary file is left");
    }

    [Test]
    public void Write_TwoByTwo_PacksLowerTriangleByRows()
    {
        using var folder = new TemporaryFolder();
        using Tensor hIn = Tensor.AllocateHost(DType.F32, 2, 2);
        ((ReadOnlySpan<float>)[0.5f, -0.25f, -0.25f, 1.5f]).CopyTo(hIn.AsSpan<float>());
        string path = Path.Combine(folder.Path, FactorFile.NameOf(Name));
        FactorFile.Write(path, new KroneckerFactors(Name, null, hIn, Evidence));
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.That(file.Tensors.Select(t => t.ToString()), Is.EqualTo(new[] { "hin (3) " + SafetensorsType.F32 }));
        byte[] bytes = file.Bytes("hin").ToArray();
        Assert.That(Enumerable.Range(0, 3).Select(i => BitConverter.ToSingle(bytes, 4 * i)), Is.EqualTo(new[] { 0.5f, -0.25f, 1.5f }));
        Assert.That(file.Metadata["version"], Is.EqualTo("1"));
        using KroneckerFactors read = FactorFile.Read(path, Name, outputs: 7, inputs: 2);
        Assert.That(read.HOut, Is.Null);
    }

    [TestCase("model.layers.3.mlp.up_proj", 5, 8, "name")]
    [TestCase(Name, 6, 8, "hout")]
    [TestCase(Name, 5, 9, "hin")]
    public void Read_FactorsOfAnotherLinear_ThrowsNamingWhatDiffers(string name, int outputs, int inputs, string part)
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder);
        Assert.That(
            () => FactorFile.Read(path, name, outputs, inputs), Throws.TypeOf<InvalidDataException>().With.Message.Contains(path).And.Message.Contains(part));
        if (name != Name)
            Assert.That(() => FactorFile.ReadEvidence(path, name), Throws.TypeOf<InvalidDataException>().With.Message.Contains(path).And.Message.Contains(part));
    }

    [TestCase("\"version\":\"1\"", "\"version\":\"9\"")]
    [TestCase("fastkron-factors", "fastkron-something")]
    [TestCase("\"evidence\":\"{", "\"evidence\":\"[")]
    [TestCase("\"evidence\"", "\"evidenze\"")]
    [TestCase("\"hin\"", "\"him\"")]
    public void Read_ChangedHeader_Throws(string found, string replacement)
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder);
        byte[] bytes = File.ReadAllBytes(path);
        // Latin-1 keeps every byte; the header's length must stay as it is.
        string text = Encoding.Latin1.GetString(bytes);
        string changed = text.Replace(found, replacement[..Math.Min(found.Length, replacement.Length)], StringComparison.Ordinal);
        Assert.That(changed, Is.Not.EqualTo(text).And.Length.EqualTo(text.Length));
        File.WriteAllBytes(path, Encoding.Latin1.GetBytes(changed));
        Assert.That(
            () => FactorFile.Read(path, Name, 5, 8), Throws.TypeOf<InvalidDataException>().With.Message.Contains(path).And.Message.Not.Contains("\n"));
    }

    [TestCase(float.NaN, "NaN")]
    [TestCase(float.PositiveInfinity, "Infinity")]
    [TestCase(100f, "mean diagonal")]
    public void Read_DamagedValue_Throws(float value, string message)
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder);
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(^4), value);   // the last diagonal entry of the last tensor
        File.WriteAllBytes(path, bytes);
        Assert.That(() => FactorFile.Read(path, Name, 5, 8), Throws.TypeOf<InvalidDataException>().With.Message.Contains(message));
    }

    [Test]
    public void Read_TruncatedAnywhere_Throws()
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder);
        byte[] bytes = File.ReadAllBytes(path);
        for (int length = 0; length < bytes.Length; length += 7)
        {
            File.WriteAllBytes(path, bytes[..length]);
            Assert.That(() => FactorFile.Read(path, Name, 5, 8), Throws.TypeOf<InvalidDataException>(), $"{length} bytes");
        }
    }

    private static string Write(TemporaryFolder folder)
    {
        using KroneckerFactors factors = Factors(5, 8);
        string path = Path.Combine(folder.Path, FactorFile.NameOf(Name));
        FactorFile.Write(path, factors);
        return path;
    }

    private static KroneckerFactors Factors(int outputs, int inputs) => new(Name, Symmetric(outputs, 1), Symmetric(inputs, 2), Evidence);

    private static Tensor Symmetric(int size, uint item)
    {
        double[,] a = Dense.Normal(size, size, item);
        Tensor tensor = Tensor.AllocateHost(DType.F32, size, size);
        for (int i = 0; i < size; i++)
        {
            for (int j = 0; j < size; j++)
                tensor.Row<float>(i)[j] = i == j ? 1 : (float)(a[i, j] + a[j, i]);
        }
        return tensor;
    }
}
