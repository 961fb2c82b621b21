using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Rounding;
using NUnit.Framework;

namespace FastKron.Native.Tests.Incoherence;

public sealed class RandomHadamardTests
{
    // Every size of hessians-and-rounding.md section 4.2 and every base order, alone and times two.
    private static IEnumerable<int> Sizes =>
        [192, 576, 1024, 2048, 4096, 8192, 1536, 3072, 5120, 11008, 12288, 13824, 14336, 28672, 53248, 896, 3584, 8960, 4864, 5632, 9728, 17408, 18944, 25600,
            .. HadamardTables.PublishedOrders.Concat(HadamardTables.ExtensionOrders).SelectMany(k => new[] { k, 2 * k })];

    [Test]
    public void Hadamard_ForwardThenInverse_IsTheIdentityAndKeepsTheNorm([ValueSource(nameof(Sizes))] int size, [Values] HadamardAxis axis)
    {
        using IBackend backend = Backends.Create("cpu");
        DenseMatrix x = axis == HadamardAxis.Rows ? DenseMatrix.Normal(2, size, seed: 1) : DenseMatrix.Normal(size, 2, seed: 1);
        HadamardFactor factor = HadamardFactors.For(size);
        float[] signs = new float[size];
        Philox.Signs(seed: 2, RandomPurpose.InputSigns, item: 3, signs);
        using Tensor scale = backend.Allocate(DType.F32, 1, size), work = x.Upload(backend);
        backend.Upload<float>(signs, scale);
        backend.Hadamard(work, factor, scale, axis, inverse: false);
        Assert.That(DenseMatrix.Download(backend, work).SquaredNorm, Is.EqualTo(x.SquaredNorm).Within(1e-5 * x.SquaredNorm), "UᵀU = I");
        backend.Hadamard(work, factor, scale, axis, inverse: true);
        double error = Math.Sqrt((DenseMatrix.Download(backend, work) - x).SquaredNorm / x.SquaredNorm);
        Assert.That(error, Is.LessThan(1e-6), "about log2(size) + √172 roundings of 6e-8 in each direction");
    }

    [Test]
    public void RotateBothSides_FactorsAndError_LeaveTracesAndLossAlone()
    {
        const int Rows = 96, Columns = 112;
        using IBackend backend = Backends.Create("cpu");
        DenseMatrix e = DenseMatrix.Normal(Rows, Columns, seed: 4), a = DenseMatrix.Covariance(Rows, seed: 5), b = DenseMatrix.Covariance(Columns, seed: 6);
        using RandomHadamard output = RandomHadamard.Draw(backend, Rows, seed: 7, RandomPurpose.OutputSigns, matrix: 8);
        using RandomHadamard input = RandomHadamard.Draw(backend, Columns, seed: 7, RandomPurpose.InputSigns, matrix: 8);
        using Tensor er = e.Upload(backend, DType.F64), ar = a.Upload(backend, DType.F64), br = b.Upload(backend, DType.F64);
        input.Rotate(er, HadamardAxis.Rows);
        output.Rotate(er, HadamardAxis.Columns);
        output.RotateBothSides(ar);
        input.RotateBothSides(br);
        DenseMatrix rotatedA = DenseMatrix.Download(backend, ar), rotatedB = DenseMatrix.Download(backend, br);
        double loss = DenseMatrix.Loss(e, a, b);
        Assert.That(DenseMatrix.Loss(DenseMatrix.Download(backend, er), rotatedA, rotatedB), Is.EqualTo(loss).Within(1e-12 * loss));
        Assert.That(Trace(rotatedA), Is.EqualTo(Trace(a)).Within(1e-10));
        Assert.That(Trace(rotatedB), Is.EqualTo(Trace(b)).Within(1e-10));
        Assert.That(DenseMatrix.Distance(rotatedA, a), Is.GreaterThan(0.1), "it is a rotation, not the identity");
    }

    [Test]
    public void Draw_SideMatrixAndSeed_EachGiveOtherSigns()
    {
        using IBackend backend = Backends.Create("cpu");
        float[] Signs(ulong seed, RandomPurpose side, uint matrix)
        {
            using RandomHadamard rotation = RandomHadamard.Draw(backend, 64, seed, side, matrix);
            return rotation.Scale.ToArray();
        }
        float[] signs = Signs(1, RandomPurpose.InputSigns, 1);
        Assert.That(signs, Is.All.Matches<float>(s => Math.Abs(s) == 1));
        Assert.That(Signs(1, RandomPurpose.InputSigns, 1), Is.EqualTo(signs));
        Assert.That(Signs(1, RandomPurpose.OutputSigns, 1), Is.Not.EqualTo(signs));
        Assert.That(Signs(1, RandomPurpose.InputSigns, 2), Is.Not.EqualTo(signs));
        Assert.That(Signs(2, RandomPurpose.InputSigns, 1), Is.Not.EqualTo(signs));
    }

    private static double Trace(DenseMatrix matrix) => Enumerable.Range(0, matrix.Rows).Sum(i => matrix[i, i]);
}
