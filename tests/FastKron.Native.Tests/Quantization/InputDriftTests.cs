using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Rounding;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class InputDriftTests
{
    private const int Tokens = 96, Inputs = 32, Outputs = 48;

    // Numbers that every activation type holds.
    private static readonly DenseMatrix X = Round(DenseMatrix.Normal(Tokens, Inputs, seed: 1));
    private static readonly DenseMatrix Moved = Round(X * (DenseMatrix.Identity(Inputs) + 0.1 * DenseMatrix.Normal(Inputs, Inputs, seed: 2)) + 0.1 * DenseMatrix.Normal(Tokens, Inputs, seed: 3));
    private static readonly DenseMatrix Stream = Round(DenseMatrix.Normal(Tokens, Outputs, seed: 4));
    private static readonly DenseMatrix MovedStream = Round(Stream + Moved * (0.1 * DenseMatrix.Normal(Inputs, Outputs, seed: 5)));
    private static readonly DenseMatrix W = 0.1 * DenseMatrix.Normal(Outputs, Inputs, seed: 6);

    // The normal equations of the least squares with their ridge, in float64.
    [Test]
    public void Correct_AddedInTwoBatches_SolvesTheNormalEquations(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string name, [Values(true, false)] bool addsToStream, [Values(0.5, 1)] double share)
    {
        using IBackend backend = Backends.Create(name);
        DenseMatrix change = (1 / share) * (Correct(backend, Moved, MovedStream, addsToStream, share) - W);
        DenseMatrix moment = (1.0 / Tokens) * (Moved.Transposed * Moved), wanted = (X - Moved) * W.Transposed;
        double ridge = 0.01 * Enumerable.Range(0, Inputs).Average(i => moment[i, i]);
        if (addsToStream)
            wanted += Stream - MovedStream;
        DenseMatrix left = change * (moment + ridge * DenseMatrix.Identity(Inputs)), right = (1.0 / Tokens) * (wanted.Transposed * Moved);
        Assert.That(DenseMatrix.Distance(left, right), Is.LessThan(backend.ActivationType == DType.F32 ? 1e-5 : 1e-3), "numbers near 0.1, sums in float32; differences in the activation type");
    }

    // All of the drift but the noise is a linear map, which the weights can undo.
    [Test]
    public void Correct_LinearDrift_GivesBackTheOutputs()
    {
        using var backend = new CpuBackend();
        DenseMatrix corrected = Correct(backend, Moved, MovedStream, addsToStream: true, share: 1);
        double Error(DenseMatrix w) => (X * W.Transposed + Stream - MovedStream - Moved * w.Transposed).SquaredNorm;
        Assert.That(Error(corrected), Is.LessThan(0.1 * Error(W)));
    }

    [Test]
    public void Correct_InputsThatHaveNotMoved_LeavesTheWeights()
    {
        using var backend = new CpuBackend();
        Assert.That(Correct(backend, X, Stream, addsToStream: true, share: 1).Same(DenseMatrix.From(Outputs, Inputs, (i, j) => (float)W[i, j])), Is.True);
    }

    [Test]
    public void Correct_InputsWithNaN_SaysSo()
    {
        using var backend = new CpuBackend();
        DenseMatrix broken = DenseMatrix.From(Tokens, Inputs, (i, j) => i == 3 ? double.NaN : Moved[i, j]);
        Assert.That(() => Correct(backend, broken, MovedStream, addsToStream: false, share: 1), Throws.TypeOf<ArithmeticException>().With.Message.Contains("some.linear"));
    }

    private static DenseMatrix Round(DenseMatrix x) => DenseMatrix.From(x.Rows, x.Columns, (i, j) => BFloat16.FromSingle((float)x[i, j]).ToSingle());

    private static DenseMatrix Correct(IBackend backend, DenseMatrix moved, DenseMatrix movedStream, bool addsToStream, double share)
    {
        using var drift = new InputDrift(backend, Inputs, addsToStream ? Outputs : 0, Tokens);
        foreach ((int first, int count) in new[] { (0, 64), (64, Tokens - 64) })
        {
            using Tensor x = Rows(X, first, count), y = Rows(moved, first, count), h = Rows(Stream, first, count), g = Rows(movedStream, first, count);
            drift.Add(x, y, addsToStream ? h : null, g);
        }
        using Tensor w = W.Upload(backend);
        drift.Correct("some.linear", w, share);
        return DenseMatrix.Download(backend, w);

        Tensor Rows(DenseMatrix all, int first, int count)
        {
            using Tensor wide = DenseMatrix.From(count, all.Columns, (i, j) => all[first + i, j]).Upload(backend);
            Tensor rows = backend.Allocate(backend.ActivationType, count, all.Columns);
            backend.Convert(wide, rows);
            return rows;
        }
    }
}
