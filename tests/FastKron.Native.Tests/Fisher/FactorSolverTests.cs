using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

/// <summary>Invariants 1, 2, 2b and 3 of hessians-and-rounding.md section 8, on small problems.</summary>
[TestFixtureSource(typeof(Backends), nameof(Backends.Names))]
public sealed class FactorSolverTests(string backendName)
{
    private static readonly SolverOptions Converged =
        new() { HalfSteps = 120, PowerTolerance = 0, Epsilon = 0, LanczosSteps = 40, LanczosTolerance = 1e-13 };

    private readonly IBackend _backend = Backends.Create(backendName);

    [OneTimeTearDown]
    public void Release() => _backend.Dispose();

    [Test]
    public void Solve_ExactKroneckerOperators_FindsBothFactorsInOneIteration([Values] SolverKind kind, [Values(DType.F32, DType.F64)] DType type)
    {
        double[] p = [5, 3, 1, 0.5, 0.25, 0.2, 0.1, 0.05], q = [2, 1, 0.7, 0.3, 0.2, 0.1];
        double[,] u = Dense.Orthogonal(8, 1), v = Dense.Orthogonal(6, 2);
        var operators = new List<double[,]>();
        for (int a = 0; a < p.Length; a++)
        {
            for (int b = 0; b < q.Length; b++)
                operators.Add(Outer(u, a, v, b, Math.Sqrt(p[a] * q[b])));
        }
        using GradientStack stack = Dense.Stack(_backend, operators, type);
        SolverOptions options = new() { Kind = kind, HalfSteps = 2, LanczosSteps = 1, Epsilon = 0 };
        using SolvedFactors factors = FactorSolvers.Solve(stack, options);
        // F32: 48 products rounded to 2⁻²⁴ each; the bound is 1 − cos < 1e-6.
        double bound = type == DType.F64 ? 1e-13 : 1e-6;
        double[,] trueOut = Dense.Multiply(Dense.Multiply(u, Dense.Diagonal(p)), Dense.Transpose(u));
        double[,] trueIn = Dense.Multiply(Dense.Multiply(v, Dense.Diagonal(q)), Dense.Transpose(v));
        Assert.That(1 - Dense.Cosine(Dense.ToArray(_backend, factors.HOut), trueOut), Is.LessThan(bound));
        Assert.That(1 - Dense.Cosine(Dense.ToArray(_backend, factors.HIn), trueIn), Is.LessThan(bound));
        // F = (1/K) P ⊗ Q: the scale is its trace over m·n.
        Assert.That(factors.Evidence.Scale, Is.EqualTo(p.Sum() * q.Sum() / 48 / 48).Within(1e-3).Percent);
    }

    [TestCase(75, 0.94)]
    [TestCase(1000, 0.99)]
    public void Solve_RandomKroneckerGradients_ApproachesTruthWithMoreOfThem(int count, double cosine)
    {
        // The design's experiment with m = n = 64 saw cosines of .97 and .997; another spectrum here, so a little room.
        double[] spectrum = [.. Enumerable.Range(0, 32).Select(i => 1 / (1.0 + i))];
        double[,] p = Dense.Spd(spectrum, 3), q = Dense.Spd(spectrum, 4);
        using GradientStack stack = Dense.Stack(_backend, MatrixNormal(spectrum, 3, spectrum, 4, count), DType.F32);
        foreach (SolverKind kind in Enum.GetValues<SolverKind>())
        {
            using SolvedFactors factors = FactorSolvers.Solve(stack, new SolverOptions { Kind = kind });
            Assert.That(Dense.Cosine(Dense.ToArray(_backend, factors.HOut), p), Is.GreaterThan(cosine), $"{kind} A");
            Assert.That(Dense.Cosine(Dense.ToArray(_backend, factors.HIn), q), Is.GreaterThan(cosine), $"{kind} B");
        }
    }

    [Test]
    public void Solve_SmallOperator_MatchesDenseSingularValueDecomposition([Values(5, 12)] int m, [Values(7, 12)] int n)
    {
        List<double[,]> gradients = [.. Enumerable.Range(0, 4).Select(k => Dense.Normal(m, n, (uint)(10 + k)))];
        double[,] r = ExplicitOperator(gradients);
        double fisherNorm = Dense.Norm(r);
        SmallSvd svd = SmallSvd.Decompose(r);
        using GradientStack stack = Dense.Stack(_backend, gradients, DType.F64);
        Assert.That(stack.FisherNorm(), Is.EqualTo(fisherNorm).Within(1e-10).Percent);
        using SolvedFactors lanczos = FactorSolvers.Solve(stack, Converged with { Kind = SolverKind.Lanczos });
        using SolvedFactors power = FactorSolvers.Solve(stack, Converged with { Kind = SolverKind.Power, HalfSteps = 800 });
        foreach (SolvedFactors factors in new[] { lanczos, power })
        {
            Assert.That(factors.Evidence.Sigma1, Is.EqualTo(svd.Values[0]).Within(1e-8).Percent, factors.Evidence.Solver);
            Assert.That(factors.Evidence.Explained, Is.EqualTo(Math.Pow(svd.Values[0] / fisherNorm, 2)).Within(1e-6).Percent);
            Assert.That(Dense.Distance(Dense.ToArray(_backend, factors.HOut), Vector(svd.Left, m)), Is.LessThan(1e-5), $"{factors.Evidence.Solver} A");
            Assert.That(Dense.Distance(Dense.ToArray(_backend, factors.HIn), Vector(svd.Right, n)), Is.LessThan(1e-5), $"{factors.Evidence.Solver} B");
        }
        Assert.That(lanczos.Evidence.SigmaRatio, Is.EqualTo(svd.Values[1] / svd.Values[0]).Within(1).Percent);
        // The contraction measures the slowest component that the start vector excites: an estimate, not a Ritz value.
        Assert.That(power.Evidence.SigmaRatio, Is.EqualTo(svd.Values[1] / svd.Values[0]).Within(5).Percent);
    }

    [Test]
    public void Apply_EitherSide_IsAdjointAndEqualsTheLoop()
    {
        List<double[,]> gradients = [.. Enumerable.Range(0, 5).Select(k => Dense.Normal(9, 6, (uint)(20 + k)))];
        using GradientStack stack = Dense.Stack(_backend, gradients, DType.F64);
        double[,] v = Dense.Spd([3, -2, 1, 0.5, -0.25, 0.1], 30), u = Dense.Spd([2, 1, 1, -1, 0.5, 0.4, 0.3, -0.2, 0.1], 31);
        using Tensor vTensor = Dense.ToTensor(_backend, v, DType.F64), uTensor = Dense.ToTensor(_backend, u, DType.F64);
        using Tensor rv = _backend.Allocate(DType.F64, 9, 9), ru = _backend.Allocate(DType.F64, 6, 6);
        stack.Apply(KroneckerSide.Rows, vTensor, rv);
        stack.Apply(KroneckerSide.Columns, uTensor, ru);
        Assert.That(_backend.Dot(uTensor, rv), Is.EqualTo(_backend.Dot(ru, vTensor)).Within(1e-12));
        var loop = new double[9, 9];
        foreach (double[,] g in gradients)
        {
            double[,] term = Dense.Multiply(Dense.Multiply(g, v), Dense.Transpose(g));
            for (int i = 0; i < 81; i++)
                loop[i / 9, i % 9] += term[i / 9, i % 9] / gradients.Count;
        }
        Assert.That(Dense.ToArray(_backend, rv), Is.EqualTo(loop).Within(1e-12));
        Assert.That(stack.HalfSteps, Is.EqualTo(2));
    }

    [Test]
    public void Solve_SingleGradient_GivesItsTwoGrams()
    {
        double[,] g = Dense.Normal(5, 7, 40);
        using GradientStack stack = Dense.Stack(_backend, [g], DType.F64);
        using SolvedFactors factors = FactorSolvers.Solve(stack, Converged with { Kind = SolverKind.Lanczos });
        // R = G ⊗ G: the leading pair is (u uᵀ, v vᵀ) of G's leading singular vectors, reached up to the relative tolerance.
        using GradientStack one = Dense.Stack(_backend, [g], DType.F64);
        using SolvedFactors first = FactorSolvers.Solve(one, Converged with { Kind = SolverKind.Power, HalfSteps = 2 });
        Assert.That(Dense.Distance(Dense.ToArray(_backend, first.HOut), Dense.Multiply(g, Dense.Transpose(g))), Is.LessThan(1e-13));
        double[] singular = SmallSvd.Decompose(Pad(g, 7)).Values;
        Assert.That(factors.Evidence.Sigma1, Is.EqualTo(singular[0] * singular[0]).Within(1e-8).Percent);
    }

    [Test]
    public void Solve_LikelihoodOfTransformedGradients_TransformsTheFactors()
    {
        // ε = 0 and K far above m/n + n/m: the maximum is unique and equivariant under G → X G Yᵀ.
        List<double[,]> gradients = MatrixNormal([1, 1, 1, 1, 1, 1], 50, [1, 1, 1, 1, 1, 1, 1, 1], 51, 40);
        double[,] x = Dense.Normal(6, 6, 52), y = Dense.Normal(8, 8, 53);
        List<double[,]> transformed = [.. gradients.Select(g => Dense.Multiply(Dense.Multiply(x, g), Dense.Transpose(y)))];
        SolverOptions options = Converged with { Kind = SolverKind.Likelihood, HalfSteps = 400 };
        using GradientStack plain = Dense.Stack(_backend, gradients, DType.F64), changed = Dense.Stack(_backend, transformed, DType.F64);
        using SolvedFactors before = FactorSolvers.Solve(plain, options), after = FactorSolvers.Solve(changed, options);
        // 1e-7: 200 iterations from starts that differ by the transformation, through factors of condition about 1e3.
        Assert.That(Dense.Distance(Dense.ToArray(_backend, after.HOut), Congruence(x, before.HOut)), Is.LessThan(1e-7));
        Assert.That(Dense.Distance(Dense.ToArray(_backend, after.HIn), Congruence(y, before.HIn)), Is.LessThan(1e-7));
    }

    [Test]
    public void Solve_LikelihoodWithoutEpsilon_NeverLowersTheLogLikelihood()
    {
        using GradientStack stack = Dense.Stack(_backend, MatrixNormal([4, 2, 1, 0.5], 60, [3, 1, 0.5, 0.1, 0.02], 61, 12), DType.F64);
        using SolvedFactors factors = FactorSolvers.Solve(stack, Converged with { Kind = SolverKind.Likelihood, HalfSteps = 40 });
        IReadOnlyList<double> likelihood = factors.Evidence.LogLikelihood;
        Assert.That(likelihood, Has.Count.EqualTo(40));
        for (int i = 1; i < likelihood.Count; i++)
            Assert.That(likelihood[i], Is.GreaterThanOrEqualTo(likelihood[i - 1] - 1e-9), $"half-step {i + 1}");
        Assert.That(likelihood[^1] - likelihood[0], Is.GreaterThan(1), "the iteration gains something");
        Assert.That(factors.Evidence.ChangeOut[^1], Is.LessThan(factors.Evidence.ChangeOut[1]));
    }

    // The definition: vec(G) ~ N(0, A ⊗ B) for the pair of every half-step, in which each factor carries the ε that it is inverted with.
    [Test]
    public void Solve_LikelihoodWithEpsilon_ReportsScaleAndLogLikelihoodOfItsPair()
    {
        const double Epsilon = 0.1;
        const int M = 4, N = 5;
        List<double[,]> gradients = MatrixNormal([4, 2, 1, 0.5], 62, [3, 1, 0.5, 0.1, 0.02], 63, 6);
        using GradientStack stack = Dense.Stack(_backend, gradients, DType.F64);
        using SolvedFactors factors = FactorSolvers.Solve(stack, new SolverOptions { HalfSteps = 2, Epsilon = Epsilon });
        double[,] identity = Dense.Diagonal([1, 1, 1, 1, 1]), a = Dense.ToArray(_backend, factors.HOut), b = Dense.ToArray(_backend, factors.HIn);

        // A from B = I, and B from A.
        double rows = Mean(g => Dense.Multiply(g, Dense.Transpose(g))), columns = Mean(g => Dense.Multiply(Dense.Multiply(Dense.Transpose(g), Dense.DampedInverse(a, Epsilon)), g));
        Assert.That(factors.Evidence.Scale, Is.EqualTo(columns * (1 + Epsilon) / M).Within(1e-12).Percent);
        Assert.That(factors.Evidence.LogLikelihood, Has.Count.EqualTo(2));
        Assert.That(factors.Evidence.LogLikelihood[0], Is.EqualTo(LogLikelihood(a, Epsilon, rows / N, identity, 0, 1)).Within(1e-9));
        Assert.That(factors.Evidence.LogLikelihood[1], Is.EqualTo(LogLikelihood(a, Epsilon, 1, b, Epsilon, columns / M)).Within(1e-9));

        double Mean(Func<double[,], double[,]> term) => gradients.Average(g => Dense.Trace(term(g)) / term(g).GetLength(0));

        // −½ [K n ln|Â| + K m ln|B̂| + Σ tr(Â⁻¹ G B̂⁻¹ Gᵀ)] of Â = scaleOut (out + epsilonOut I) and B̂ likewise.
        double LogLikelihood(double[,] rowFactor, double epsilonOut, double scaleOut, double[,] columnFactor, double epsilonIn, double scaleIn)
        {
            double[,] left = Dense.DampedInverse(rowFactor, epsilonOut), right = Dense.DampedInverse(columnFactor, epsilonIn);
            double trace = gradients.Sum(g => Dense.Trace(Dense.Multiply(Dense.Multiply(left, g), Dense.Multiply(right, Dense.Transpose(g))))) / (scaleOut * scaleIn);
            return -0.5 * (gradients.Count * (N * (M * Math.Log(scaleOut) - LogDeterminant(left)) + M * (N * Math.Log(scaleIn) - LogDeterminant(right))) + trace);
        }

        static double LogDeterminant(double[,] positive) => SmallSvd.Decompose((double[,])positive.Clone()).Values.Sum(Math.Log);
    }

    [Test]
    public void Solve_OneOutlierGradient_MovesLikelihoodLessThanPower()
    {
        List<double[,]> gradients = MatrixNormal([4, 2, 1, 0.5, 0.2, 0.1], 70, [3, 1, 0.5, 0.1, 0.05], 71, 40);
        List<double[,]> outlier = [.. gradients];
        outlier[7] = Dense.Multiply(Dense.Diagonal([100, 100, 100, 100, 100, 100]), gradients[7]);
        double Moved(SolverKind kind)
        {
            SolverOptions options = new() { Kind = kind };
            using GradientStack plain = Dense.Stack(_backend, gradients, DType.F64), changed = Dense.Stack(_backend, outlier, DType.F64);
            using SolvedFactors before = FactorSolvers.Solve(plain, options), after = FactorSolvers.Solve(changed, options);
            return Dense.Distance(Dense.ToArray(_backend, after.HOut), Dense.ToArray(_backend, before.HOut));
        }
        Assert.That(Moved(SolverKind.Likelihood), Is.LessThan(Moved(SolverKind.Power)));
    }

    [Test]
    public void Solve_EveryHalfStep_StaysSymmetricPositiveAndDoesNotLowerSigma([Values(SolverKind.Likelihood, SolverKind.Power)] SolverKind kind)
    {
        // Two gradients of 12 × 20: every iterate of power is singular, so rounding could turn eigenvalues negative.
        using GradientStack stack = Dense.Stack(_backend, [Dense.Normal(12, 20, 80), Dense.Normal(12, 20, 81)], DType.F32);
        double sigma = 0;
        for (int halfSteps = 1; halfSteps <= 10; halfSteps++)
        {
            using SolvedFactors factors = FactorSolvers.Solve(stack, new SolverOptions { Kind = kind, HalfSteps = halfSteps, PowerTolerance = 0 });
            foreach (Tensor factor in new[] { factors.HOut, factors.HIn })
            {
                double[,] a = Dense.ToArray(_backend, factor);
                Assert.That(Dense.Transpose(a), Is.EqualTo(a), "exactly symmetric");
                Assert.That(Dense.EigenvalueRatio(a), Is.GreaterThan(-1e-5));
                Assert.That(Dense.Trace(a) / a.GetLength(0), Is.EqualTo(1).Within(1e-5));
            }
            Assert.That(factors.Evidence.HalfSteps, Is.EqualTo(halfSteps));
            Assert.That(factors.Evidence.Sigma1 ?? double.MaxValue, Is.GreaterThanOrEqualTo(sigma * (1 - 1e-6)));
            sigma = factors.Evidence.Sigma1 ?? double.MaxValue;
        }
    }

    [Test]
    public void Solve_OneHalfStep_GivesRowsAloneAndKeepsTheTrace([Values(SolverKind.Likelihood, SolverKind.Power)] SolverKind kind)
    {
        double[][,] gradients = [Dense.Normal(5, 7, 82), Dense.Normal(5, 7, 83), Dense.Normal(5, 7, 84)];
        using GradientStack stack = Dense.Stack(_backend, gradients, DType.F64);
        using SolvedFactors factors = FactorSolvers.Solve(stack, new SolverOptions { Kind = kind, HalfSteps = 1 });
        double trace = gradients.Average(g => Dense.Trace(Dense.Multiply(g, Dense.Transpose(g))));
        Assert.That(Dense.Distance(Dense.ToArray(_backend, factors.HIn), Dense.Diagonal([1, 1, 1, 1, 1, 1, 1])), Is.LessThan(1e-14));
        Assert.That(factors.Evidence.Scale * 5 * 7, Is.EqualTo(trace).Within(1e-12 * trace));   // both factors have mean diagonal 1
    }

    [Test]
    public void Solve_LanczosAtConvergence_IsPositiveUpToRounding()
    {
        using GradientStack stack = Dense.Stack(_backend, MatrixNormal([4, 2, 1, 0.5], 90, [3, 1, 0.5, 0.1], 91, 9), DType.F32);
        using SolvedFactors factors = FactorSolvers.Solve(stack, SolverOptions.Published);
        Assert.That(Dense.EigenvalueRatio(Dense.ToArray(_backend, factors.HOut)), Is.GreaterThan(-1e-5));
        Assert.That(Dense.EigenvalueRatio(Dense.ToArray(_backend, factors.HIn)), Is.GreaterThan(-1e-5));
        Assert.That(factors.Evidence.HalfSteps, Is.LessThanOrEqualTo(2 * 34));
    }

    [Test]
    public void Solve_GradientsTimesPowerOfTwo_GivesTheSameBits([Values] SolverKind kind)
    {
        List<double[,]> gradients = MatrixNormal([4, 2, 1, 0.5], 95, [3, 1, 0.5, 0.1, 0.05], 96, 8);
        List<double[,]> scaled = [.. gradients.Select(g => Dense.Multiply(Dense.Diagonal([1024, 1024, 1024, 1024]), g))];
        using GradientStack plain = Dense.Stack(_backend, gradients, DType.BF16), large = Dense.Stack(_backend, scaled, DType.BF16);
        SolverOptions options = new() { Kind = kind };
        using SolvedFactors before = FactorSolvers.Solve(plain, options), after = FactorSolvers.Solve(large, options);
        Assert.That(Dense.ToArray(_backend, after.HOut), Is.EqualTo(Dense.ToArray(_backend, before.HOut)));
        Assert.That(Dense.ToArray(_backend, after.HIn), Is.EqualTo(Dense.ToArray(_backend, before.HIn)));
        Assert.That(after.Evidence.Scale, Is.EqualTo(before.Evidence.Scale * 1024 * 1024).Within(1e-10).Percent);
    }

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    [TestCase(0)]
    public void Solve_UnusableGradients_ThrowsNamingTheLinear(double value)
    {
        var gradient = new double[3, 4];
        for (int i = 0; i < 12; i++)
            gradient[i / 4, i % 4] = value;
        foreach (SolverKind kind in Enum.GetValues<SolverKind>())
        {
            using GradientStack stack = Dense.Stack(_backend, [gradient, gradient], DType.BF16);
            FactorSolverException? error = Assert.Throws<FactorSolverException>(() => FactorSolvers.Solve(stack, new SolverOptions { Kind = kind }));
            Assert.That(error!.Linear, Is.EqualTo("model.layers.0.test_proj"));
            Assert.That(error.Message, Does.StartWith("model.layers.0.test_proj: ").And.Not.Contain("\n"));
        }
    }

    // A resumed collection fits fewer linears side by side than one that was not stopped.
    [Test]
    public void SolveTogether_SeveralLinears_GivesEachTheBitsItGetsAlone()
    {
        (int Rows, int Columns)[] shapes = [(48, 80), (80, 48), (48, 48)];
        GradientStack[] stacks = [.. shapes.Select((shape, i) => Dense.Stack(_backend, [Dense.Normal(shape.Rows, shape.Columns, 98), Dense.Normal(shape.Rows, shape.Columns, 99 + (uint)i)], DType.BF16))];
        IReadOnlyList<SolvedFactors> together = LikelihoodSolver.SolveTogether(stacks, new SolverOptions());
        for (int i = 0; i < stacks.Length; i++)
        {
            using GradientStack stack = stacks[i];
            using SolvedFactors fitted = together[i], alone = FactorSolvers.Solve(stack, new SolverOptions());
            Assert.That(Dense.ToArray(_backend, fitted.HOut), Is.EqualTo(Dense.ToArray(_backend, alone.HOut)));
            Assert.That(Dense.ToArray(_backend, fitted.HIn), Is.EqualTo(Dense.ToArray(_backend, alone.HIn)));
            Assert.That(fitted.Evidence.LogLikelihood, Is.EqualTo(alone.Evidence.LogLikelihood));
            Assert.That(fitted.Evidence.Scale, Is.EqualTo(alone.Evidence.Scale));
        }
    }

    [Test]
    public void Solve_Cancelled_Throws([Values] SolverKind kind)
    {
        using GradientStack stack = Dense.Stack(_backend, [Dense.Normal(3, 4, 97)], DType.BF16);
        SolverOptions options = new() { Kind = kind };
        Assert.Throws<OperationCanceledException>(() => FactorSolvers.Solve(stack, options, new CancellationToken(canceled: true)));
        Assert.That(stack.HalfSteps, Is.Zero);
    }

    // P^{1/2} Z Q^{1/2} with P, Q = Dense.Spd(spectrum, item).
    private static List<double[,]> MatrixNormal(double[] p, uint pItem, double[] q, uint qItem, int count)
    {
        double[,] left = Dense.Spd([.. p.Select(Math.Sqrt)], pItem), right = Dense.Spd([.. q.Select(Math.Sqrt)], qItem);
        return [.. Enumerable.Range(0, count)
            .Select(k => Dense.Multiply(Dense.Multiply(left, Dense.Normal(p.Length, q.Length, (uint)(1000 + k))), right))];
    }

    private static double[,] Outer(double[,] u, int a, double[,] v, int b, double scale)
    {
        var g = new double[u.GetLength(0), v.GetLength(0)];
        for (int i = 0; i < g.GetLength(0); i++)
        {
            for (int j = 0; j < g.GetLength(1); j++)
                g[i, j] = scale * u[i, a] * v[j, b];
        }
        return g;
    }

    // R (m², n²) = (1/K) Σ G ⊗ G, padded with zeros to a square.
    private static double[,] ExplicitOperator(List<double[,]> gradients)
    {
        int m = gradients[0].GetLength(0), n = gradients[0].GetLength(1), size = Math.Max(m * m, n * n);
        var r = new double[size, size];
        foreach (double[,] g in gradients)
        {
            for (int row = 0; row < m * m; row++)
            {
                for (int column = 0; column < n * n; column++)
                    r[row, column] += g[row / m, column / n] * g[row % m, column % n] / gradients.Count;
            }
        }
        return r;
    }

    private static double[,] Vector(double[,] vectors, int size)
    {
        var a = new double[size, size];
        for (int i = 0; i < size * size; i++)
            a[i / size, i % size] = vectors[i, 0];
        return a;
    }

    private static double[,] Pad(double[,] a, int size)
    {
        var padded = new double[size, size];
        for (int i = 0; i < a.GetLength(0); i++)
        {
            for (int j = 0; j < a.GetLength(1); j++)
                padded[i, j] = a[i, j];
        }
        return padded;
    }

    private double[,] Congruence(double[,] x, Tensor a) => Dense.Multiply(Dense.Multiply(x, Dense.ToArray(_backend, a)), Dense.Transpose(x));
}
