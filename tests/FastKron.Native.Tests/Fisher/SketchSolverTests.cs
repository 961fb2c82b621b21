using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

/// <summary>Estimators over kept tokens against their definitions, in float64 on small dense matrices.</summary>
public sealed class SketchSolverTests
{
    private const int Outputs = 6, Inputs = 9;
    private const double Tolerance = 1e-4;     // float32 sums of some 50 terms, twice, against float64

    private readonly IBackend _backend = Backends.Create("cpu");    // the definitions are read from host memory, in float32
    private DecoderModel _model = null!;

    [OneTimeSetUp]
    public void Create() => _model = RandomModel.Create(_backend, RandomModel.Config(ModelFamily.Llama));

    [OneTimeTearDown]
    public void Release()
    {
        _model.Dispose();
        _backend.Dispose();
    }

    [Test]
    public void Solve_SketchA_FollowsItsDefinition([Values(2, 3, 4)] int passes)
    {
        using var data = new Data(this, [5, 1, 12, 7, 20]);
        using TokenStream stream = data.Tokens(FactorSource.SketchA);
        using SolvedFactors actual = SketchSolver.Solve(stream, new FisherOptions { Source = FactorSource.SketchA, Passes = passes }, default);

        double[,] b = Normalized(Moment(data.X, _ => 1)), a = new double[Outputs, Outputs];
        double scale = 0;
        for (int pass = 1; pass < passes; pass++)
        {
            double[,] moment = pass % 2 == 1 ? Moment(data.D, t => Quadratic(b, data.X, t)) : Moment(data.X, t => Quadratic(a, data.D, t));
            scale = LeastSquaresScale(moment, pass % 2 == 1 ? b : a) / data.X.Rows;
            if (pass % 2 == 1)
                a = Normalized(moment);
            else
                b = Normalized(moment);
        }
        AssertEqual(actual, a, b, scale);
        Assert.That((actual.Evidence.Source, actual.Evidence.HalfSteps, actual.Evidence.Gradients), Is.EqualTo(("sketch-a", passes, 45)));
    }

    [Test]
    public void Solve_TokenLikelihood_FollowsItsDefinition()
    {
        const double Epsilon = 0.01;
        using var data = new Data(this, [30, 41]);
        using TokenStream stream = data.Tokens(FactorSource.TokenLikelihood);
        using SolvedFactors actual = SketchSolver.Solve(stream, new FisherOptions { Source = FactorSource.TokenLikelihood }, default);

        double[,] b = Normalized(Moment(data.X, _ => 1)), inverse = Dense.DampedInverse(b, Epsilon);
        double[,] a = Normalized(Moment(data.D, t => Quadratic(inverse, data.X, t)));
        inverse = Dense.DampedInverse(a, Epsilon);
        double[,] moment = Moment(data.X, t => Quadratic(inverse, data.D, t));
        b = Normalized(moment);

        // (A + εI) ⊗ moment/(m T) has the trace of Scale · A ⊗ B.
        AssertEqual(actual, a, b, (1 + Epsilon) * MeanDiagonal(moment) / Outputs / data.X.Rows);
    }

    [Test]
    public void Solve_SketchB_FollowsItsDefinition([Values(1, 2, 3)] int passes)
    {
        using var data = new Data(this, [5, 1, 12, 7, 20]);
        using SequenceStream stream = data.SequenceGradients(FactorSource.SketchB);
        using SolvedFactors actual = SketchSolver.Solve(stream, new FisherOptions { Source = FactorSource.SketchB, Passes = passes }, default);

        double[][,] gradients = [.. data.Sequences.Select(s => Gradient(data, s))];
        double[,] a = Sum(gradients, g => Dense.Multiply(g, Dense.Transpose(g))), b = Normalized(Sum(gradients, g => Dense.Multiply(Dense.Transpose(g), g)));
        double scale = Dense.Trace(a) / Outputs / Inputs / gradients.Length;            // the trace of the Fisher matrix
        a = Normalized(a);
        for (int pass = 1; pass < passes; pass++)
        {
            double[,] moment = pass % 2 == 1
                ? Sum(gradients, g => Dense.Multiply(Dense.Multiply(g, b), Dense.Transpose(g)))
                : Sum(gradients, g => Dense.Multiply(Dense.Multiply(Dense.Transpose(g), a), g));
            scale = LeastSquaresScale(moment, pass % 2 == 1 ? b : a) / gradients.Length;
            if (pass % 2 == 1)
                a = Normalized(moment);
            else
                b = Normalized(moment);
        }
        AssertEqual(actual, a, b, scale);
    }

    [Test]
    public void Apply_SequencesOfOneToken_TokensAndSequencesAreTheSameOperators([Values] KroneckerSide side)
    {
        // Invariant 4: Sketch A on sequences of one token is Sketch B.
        using var data = new Data(this, [.. Enumerable.Repeat(1, 24)]);
        using TokenStream tokens = data.Tokens(FactorSource.SketchA);
        using SequenceStream sequences = data.SequenceGradients(FactorSource.SketchB);
        int given = side == KroneckerSide.Rows ? Inputs : Outputs, produced = side == KroneckerSide.Rows ? Outputs : Inputs;
        using Tensor half = RandomModel.Normal(_backend, given, given + 2, item: 77), v = _backend.Allocate(DType.F32, given, given);
        _backend.SymmetricRankK(half, transposeA: false, v);
        using Tensor first = _backend.Allocate(DType.F32, produced, produced), second = _backend.Allocate(DType.F32, produced, produced);
        tokens.Apply(side, v, first);
        sequences.Apply(side, v, second);
        Assert.That(first.AsSpan<float>().ToArray(), Is.EqualTo(second.AsSpan<float>().ToArray()).Within((float)(Tolerance * _backend.Norm(second))));
    }

    // Tokens are weighed in chunks, and so are token Grams: their sum must not depend on where one ends.
    [Test]
    public void Apply_MoreTokensThanAChunk_SumsAllChunks([Values] KroneckerSide side)
    {
        using var data = new Data(this, [.. Enumerable.Repeat(1, TokenStream.ChunkTokens + 100)]);
        using TokenStream tokens = data.Tokens(FactorSource.SketchA);
        using SequenceStream grams = data.SequenceGradients(FactorSource.SketchB, tokenGrams: true);
        (Tensor given, Tensor produced) = side == KroneckerSide.Rows ? (data.X, data.D) : (data.D, data.X);
        double[,] v = Dense.Spd([.. Enumerable.Range(1, given.Columns).Select(k => 1.0 / k)], 5), expected = Moment(produced, t => Quadratic(v, given, t) / given.Rows);
        using Tensor vTensor = Dense.ToTensor(_backend, v, DType.F32), result = _backend.Allocate(DType.F32, produced.Columns, produced.Columns);
        foreach (IKrausStream stream in new IKrausStream[] { tokens, grams })
        {
            stream.Apply(side, vTensor, result);
            Assert.That(Dense.ToArray(result), Is.EqualTo(expected).Within(Tolerance * Dense.Norm(expected)), stream.Source);
        }
    }

    // 17 gradients of 16 MB, of which 16 make a stack. The inputs are long, so that the products are not.
    [Test]
    public void Gram_MoreGradientsThanAStack_SumsAllStacks()
    {
        const int Wide = 1 << 18, Count = 17;
        using Tensor x = RandomModel.Normal(_backend, Count, Wide, item: 3), d = RandomModel.Normal(_backend, Count, 16, item: 4), result = _backend.Allocate(DType.F32, 16, 16);
        using var stream = new SequenceStream(_backend, "linear", FactorSource.SketchB, 16, Wide, Count, DType.F32) { TokenGrams = false };
        List<MicroBatch> batches = MicroBatch.Cut(_model, [[.. Enumerable.Range(0, Count).Select(i => RandomModel.Ids(1, 40, (uint)i))]], tokens: Count);
        stream.Append(batches[0], x, d);
        MicroBatch.Release(batches);
        stream.Gram(KroneckerSide.Rows, null, result);
        double[] squares = [.. Enumerable.Range(0, Count).Select(t => System.Numerics.Tensors.TensorPrimitives.SumOfSquares<float>(x.Row<float>(t)) / (double)Count)];
        double[,] expected = Moment(d, t => squares[t]);
        Assert.That(Dense.ToArray(result), Is.EqualTo(expected).Within(Tolerance * Dense.Norm(expected)));
    }

    [Test]
    public void Solve_PerSequenceLikelihood_EqualsAStackOfTheSequencesGradients([Values] SolverKind solver)
    {
        using var data = new Data(this, [15, 11, 12, 17, 20, 9, 14]);
        using SequenceStream sequences = data.SequenceGradients(FactorSource.PerSequence);
        using var stack = new GradientStack(_backend, "linear", Outputs, Inputs, data.Sequences.Count, DType.F32);
        foreach ((int start, int length) in data.Sequences)
            stack.Append(data.X.SliceRows(start, length), data.D.SliceRows(start, length));
        var options = new SolverOptions { Kind = solver };
        using SolvedFactors actual = FactorSolvers.Solve(sequences, options), expected = FactorSolvers.Solve(stack, options);
        AssertEqual(actual, Dense.ToArray(expected.HOut), Dense.ToArray(expected.HIn));
        Assert.That(actual.Evidence.Source, Is.EqualTo("per-sequence"));
        Assert.That(actual.Evidence.Explained, Is.Null);
    }

    [Test]
    public void Gram_TokenGrams_EqualTheDirectForm([Values] KroneckerSide side, [Values] bool identity)
    {
        using var data = new Data(this, [5, 1, 12, 7, 20]);
        using SequenceStream direct = data.SequenceGradients(FactorSource.SketchB, tokenGrams: false), grams = data.SequenceGradients(FactorSource.SketchB, tokenGrams: true);
        int given = side == KroneckerSide.Rows ? Inputs : Outputs, produced = side == KroneckerSide.Rows ? Outputs : Inputs;
        using Tensor v = RandomModel.Normal(_backend, given, given, item: 78), symmetric = _backend.Allocate(DType.F32, given, given), root = _backend.Allocate(DType.F32, given, given);
        _backend.Fill(root, 0);
        for (int row = 0; row < given; row++)
            _backend.Convert(v.Slice(row, 1, 0, row + 1), root.Slice(row, 1, 0, row + 1));
        // Indefinite, as Lanczos vectors are.
        for (int row = 0; row < given; row++)
        {
            for (int column = 0; column < given; column++)
                symmetric.Row<float>(row)[column] = v.Row<float>(row)[column] + v.Row<float>(column)[row];
        }
        using Tensor first = _backend.Allocate(DType.F32, produced, produced), second = _backend.Allocate(DType.F32, produced, produced);
        foreach (Action<SequenceStream, Tensor> halfStep in new Action<SequenceStream, Tensor>[] { (s, r) => s.Gram(side, identity ? null : root, r), (s, r) => s.Apply(side, symmetric, r) })
        {
            halfStep(direct, first);
            halfStep(grams, second);
            double[,] expected = Dense.ToArray(first), actual = Dense.ToArray(second);
            Assert.That(Dense.Transpose(actual), Is.EqualTo(actual), "exactly symmetric");
            Assert.That(Dense.Distance(actual, expected), Is.LessThan(1e-5), "another order of float32 sums");
        }
    }

    // Of one side over the square of the other's norm, as least squares has it; a scale for the whole pair.
    private static double LeastSquaresScale(double[,] moment, double[,] given) => MeanDiagonal(moment) / Dense.Dot(given, given);

    private static double MeanDiagonal(double[,] matrix) => Dense.Trace(matrix) / matrix.GetLength(0);

    private static void AssertEqual(SolvedFactors actual, double[,] a, double[,] b, double? scale = null)
    {
        if (scale is { } expectedScale)
            Assert.That(actual.Evidence.Scale, Is.EqualTo(expectedScale).Within(Tolerance * expectedScale));
        foreach ((Tensor factor, double[,] expected) in new[] { (actual.HOut, a), (actual.HIn, b) })
        {
            double[,] found = Dense.ToArray(factor);
            for (int i = 0; i < factor.Rows; i++)
            {
                for (int j = 0; j < factor.Columns; j++)
                    Assert.That(found[i, j], Is.EqualTo(expected[i, j]).Within(Tolerance), $"({i}, {j}) of a factor with mean diagonal 1");
            }
        }
    }

    private static double[,] Gradient(Data data, (int Start, int Length) sequence) => Dense.Multiply(
        Dense.Transpose(Dense.ToArray(data.D.SliceRows(sequence.Start, sequence.Length))), Dense.ToArray(data.X.SliceRows(sequence.Start, sequence.Length)));

    private static double[,] Sum(double[][,] gradients, Func<double[,], double[,]> term)
    {
        double[,] sum = term(gradients[0]);
        foreach (double[,] gradient in gradients[1..])
        {
            double[,] next = term(gradient);
            for (int i = 0; i < sum.Length; i++)
                sum[i / sum.GetLength(1), i % sum.GetLength(1)] += next[i / sum.GetLength(1), i % sum.GetLength(1)];
        }
        return sum;
    }

    private static double[,] Moment(Tensor rows, Func<int, double> weight)
    {
        double[,] values = Dense.ToArray(rows), weighed = Dense.ToArray(rows);
        for (int t = 0; t < rows.Rows; t++)
        {
            double w = weight(t);
            for (int c = 0; c < rows.Columns; c++)
                weighed[t, c] *= w;
        }
        return Dense.Multiply(Dense.Transpose(weighed), values);
    }

    private static double Quadratic(double[,] v, Tensor rows, int t)
    {
        double sum = 0;
        ReadOnlySpan<float> row = rows.Row<float>(t);
        for (int i = 0; i < row.Length; i++)
        {
            for (int j = 0; j < row.Length; j++)
                sum += row[i] * v[i, j] * row[j];
        }
        return sum;
    }

    private static double[,] Normalized(double[,] matrix)
    {
        double diagonal = MeanDiagonal(matrix);
        double[,] result = (double[,])matrix.Clone();
        for (int i = 0; i < result.Length; i++)
            result[i / result.GetLength(1), i % result.GetLength(1)] /= diagonal;
        return result;
    }

    // Random X and D of some sequences, cut into micro-batches as a sweep would.
    private sealed class Data : IDisposable
    {
        private readonly SketchSolverTests _test;
        private readonly List<MicroBatch> _batches;

        public Data(SketchSolverTests test, int[] lengths)
        {
            _test = test;
            int tokens = lengths.Sum(), start = 0;
            X = RandomModel.Normal(test._backend, tokens, Inputs, item: 1, mean: 0.3f);
            D = RandomModel.Normal(test._backend, tokens, Outputs, item: 2, mean: 0.1f);
            foreach (int length in lengths)
            {
                Sequences.Add((start, length));
                start += length;
            }
            _batches = MicroBatch.Cut(test._model, [[.. lengths.Select((length, i) => RandomModel.Ids(length, 40, (uint)i))]], tokens: 16);
        }

        public Tensor X { get; }

        public Tensor D { get; }

        public List<(int Start, int Length)> Sequences { get; } = [];

        public TokenStream Tokens(FactorSource source) => Fill(new TokenStream(_test._backend, "linear", source, Outputs, Inputs, X.Rows));

        public SequenceStream SequenceGradients(FactorSource source, bool? tokenGrams = null) =>
            Fill(new SequenceStream(_test._backend, "linear", source, Outputs, Inputs, X.Rows, DType.F32) { TokenGrams = tokenGrams });

        public void Dispose()
        {
            X.Dispose();
            D.Dispose();
            MicroBatch.Release(_batches);
        }

        private T Fill<T>(T store) where T : IKrausStore
        {
            foreach (MicroBatch batch in _batches)
                store.Append(batch, X.SliceRows((int)batch.FirstToken, batch.Batch.Tokens), D.SliceRows((int)batch.FirstToken, batch.Batch.Tokens));
            return store;
        }
    }
}
