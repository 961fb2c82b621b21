using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

[TestFixtureSource(typeof(Backends), nameof(Backends.Names))]
public sealed class GradientStackTests(string backendName)
{
    private readonly IBackend _backend = Backends.Create(backendName);

    [OneTimeTearDown]
    public void Release() => _backend.Dispose();

    [Test]
    public void Append_InPieces_RoundsOnceAndEqualsOnePiece()
    {
        const int tokens = 48, m = 17, n = 33;
        using Tensor x = Dense.ToTensor(_backend, Dense.Normal(tokens, n, 1), DType.F32), d = Dense.ToTensor(_backend, Dense.Normal(tokens, m, 2), DType.F32);
        using var stack = new GradientStack(_backend, "q", m, n, 3);
        stack.Append(x, d);
        for (int piece = 0; piece < 3; piece++)
            stack.Append(x.SliceRows(piece * 16, 16), d.SliceRows(piece * 16, 16), last: piece == 2);
        stack.Append(x, d);
        Assert.That(stack.Count, Is.EqualTo(3));

        double[,] exact = Dense.Multiply(Dense.Transpose(Dense.ToArray(_backend, d)), Dense.ToArray(_backend, x));
        for (int k = 0; k < 3; k++)
        {
            using Tensor gradient = _backend.Allocate(DType.F32, m, n);
            _backend.Convert(stack.Gradient(k), gradient);
            double[,] rounded = Dense.ToArray(_backend, gradient);
            for (int i = 0; i < m; i++)
            {
                for (int j = 0; j < n; j++)
                {
                    // One rounding to 8 bits: half a unit is 2⁻⁸ of the value at most relative to its power of two; the f32 sum adds 1e-5.
                    Assert.That(rounded[i, j], Is.EqualTo(exact[i, j]).Within(Math.Abs(exact[i, j]) / 256 + 1e-5));
                }
            }
        }
    }

    [Test]
    public void Append_MoreThanPlanned_Throws()
    {
        using Tensor x = Dense.ToTensor(_backend, Dense.Normal(4, 3, 1), DType.F32), d = Dense.ToTensor(_backend, Dense.Normal(4, 2, 2), DType.F32);
        using var stack = new GradientStack(_backend, "q", 2, 3, 1);
        stack.Append(x, d);
        Assert.Throws<InvalidOperationException>(() => stack.Append(x, d));
    }

    [Test]
    public void Gram_IncompleteStack_Throws()
    {
        using var stack = new GradientStack(_backend, "q", 2, 3, 1);
        using Tensor result = _backend.Allocate(DType.F32, 2, 2);
        Assert.Throws<InvalidOperationException>(() => stack.Gram(KroneckerSide.Rows, null, result));
    }

    [Test]
    public void Center_AnyGradients_LeavesTheirDifferencesFromTheMean()
    {
        List<double[,]> gradients = [.. Enumerable.Range(0, 4).Select(k => Dense.Normal(5, 6, (uint)(3 + k)))];
        using GradientStack stack = Dense.Stack(_backend, gradients, DType.F64);
        stack.Center();
        for (int i = 0; i < 30; i++)
        {
            double mean = gradients.Average(g => g[i / 6, i % 6]);
            for (int k = 0; k < 4; k++)
                Assert.That(Dense.ToArray(_backend, stack.Gradient(k))[i / 6, i % 6], Is.EqualTo(gradients[k][i / 6, i % 6] - mean).Within(1e-14));
        }
    }

    [Test]
    public void Center_OneGradient_Throws()
    {
        using GradientStack stack = Dense.Stack(_backend, [Dense.Normal(5, 6, 3)], DType.F32);
        Assert.Throws<InvalidOperationException>(stack.Center);
    }
}
