using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

public sealed class AttentionTests
{
    private const int Heads = 6, KeyHeads = 2, Dimension = 16;
    private const int Width = Heads * Dimension;

    [Test]
    public void Attention_PackedSequences_EqualEachAloneBitForBit([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        int[] lengths = [5, 130, 1, 64];
        using Call packed = Call.Random(backend, lengths);
        packed.Run();
        for (int s = 0, row = 0; s < lengths.Length; row += lengths[s++])
        {
            using Call alone = packed.Sequence(row, lengths[s]);
            alone.Run();
            foreach (var (whole, part) in packed.Results.Zip(alone.Results))
                Assert.That(Read(backend, part), Is.EqualTo(Read(backend, whole.SliceRows(row, lengths[s]))), $"sequence {s}, {whole}");
        }
    }

    [Test, RequiresGpu]
    public void Attention_BFloat16Packed_EqualsEachAloneAndItselfAgainBitForBit([Values(16, 64, 128)] int dimension)
    {
        using var backend = new GpuBackend();
        // Some of few queries, which take another kernel; some that fill no tile, one that fills more than two.
        int[] lengths = [5, 300, 1, 64, 130, 9];
        using Call packed = Call.Random(backend, DType.BF16, dimension, lengths);
        packed.Run();
        float[][] first = [.. packed.Results.Select(result => Read(backend, result))];
        packed.FillResults(7);
        packed.Run();
        Assert.That(packed.Results.Select(result => Read(backend, result)), Is.EqualTo(first));
        for (int s = 0, row = 0; s < lengths.Length; row += lengths[s++])
        {
            using Call alone = packed.Sequence(row, lengths[s]);
            alone.Run();
            foreach (var (whole, part) in packed.Results.Zip(alone.Results))
                Assert.That(Read(backend, part), Is.EqualTo(Read(backend, whole.SliceRows(row, lengths[s]))), $"sequence {s}, {whole}");
        }
    }

    [Test, RequiresGpu]
    public void Attention_BFloat16LargeScores_StayFinite([Values(64, 128)] int dimension)
    {
        using var backend = new GpuBackend();
        using Call call = Call.Random(backend, DType.BF16, dimension, 80, 3);
        call.ScaleQueries(1000);
        call.Run();
        foreach (Tensor result in call.Results)
            Assert.That(Read(backend, result), Is.All.Matches<float>(float.IsFinite));
    }

    [Test, RequiresGpu]
    public void Attention_BFloat16NeighbourOfNaN_ChangesNothingElse([Values(64, 128)] int dimension)
    {
        using var backend = new GpuBackend();
        // Whole tiles and parts of them, before and behind the rows of NaN.
        int[] lengths = [70, 40, 300];
        using Call call = Call.Random(backend, DType.BF16, dimension, lengths);
        call.Run();
        Tensor[] others = [.. call.Results.SelectMany(result => new[] { result.SliceRows(0, 70), result.SliceRows(110, 300) })];
        float[][] before = [.. others.Select(result => Read(backend, result))];
        foreach (Tensor operand in new[] { call.Q, call.K, call.V, call.DOutput })
            backend.Fill(operand.SliceRows(70, 40), double.NaN);
        call.Run();
        Assert.That(others.Select(result => Read(backend, result)), Is.EqualTo(before));
        Assert.That(Read(backend, call.Output.SliceRows(70, 40)), Is.All.NaN);
    }

    [Test]
    public void Attention_OneThread_EqualsManyBitForBit()
    {
        using var one = new CpuBackend(threads: 1);
        using var many = new CpuBackend(threads: 5);
        using Call expected = Call.Random(one, 150, 3, 70), actual = Call.Random(many, 150, 3, 70);
        expected.Run();
        actual.Run();
        foreach (var (a, b) in expected.Results.Zip(actual.Results))
            Assert.That(Read(many, b), Is.EqualTo(Read(one, a)));
    }

    [Test]
    public void Attention_CachedDecoding_EqualsTheFullForward(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName, [Values(1, 3, 20)] int step)
    {
        const int tokens = 100;
        using IBackend backend = Backends.Create(backendName);
        using Call full = Call.Random(backend, tokens);
        full.Run();
        using Tensor output = backend.Allocate(DType.F32, tokens, Width);
        for (int start = 0; start < tokens; start += step)
        {
            int count = Math.Min(step, tokens - start);
            var layout = new AttentionLayout(Heads, KeyHeads, Dimension, [new(0, count, 0, start + count)]);
            backend.Attention(full.Q.SliceRows(start, count), full.K, full.V, layout, output.SliceRows(start, count), null);
        }
        // Other tiles, so other orders of sums: a few roundings of outputs near 1.
        Assert.That(Read(backend, output), Is.EqualTo(Read(backend, full.Output)).Within(2e-6f));
    }

    [Test]
    public void Attention_LaterKeys_ChangeNothingBefore([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using Call call = Call.Random(backend, 90);
        call.Run();
        float[] before = Read(backend, call.Output.SliceRows(0, 70)), gradientBefore = Read(backend, call.Dq.SliceRows(0, 70));
        backend.Fill(call.K.SliceRows(70, 20), 100);
        backend.Fill(call.V.SliceRows(70, 20), 1e30);
        call.Run();
        Assert.That(Read(backend, call.Output.SliceRows(0, 70)), Is.EqualTo(before));
        Assert.That(Read(backend, call.Dq.SliceRows(0, 70)), Is.EqualTo(gradientBefore));
    }

    [Test]
    public void Attention_LargeScores_StayFinite([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using Call call = Call.Random(backend, 80);
        call.ScaleQueries(1000);
        call.Run();
        foreach (Tensor result in call.Results)
            Assert.That(Read(backend, result), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void AttentionBackward_KeysOfNoSequence_GetZero([ValueSource(typeof(Backends), nameof(Backends.Names))] string backendName)
    {
        using IBackend backend = Backends.Create(backendName);
        using Call call = Call.Random(backend, [10, 10], [new(0, 4, 2, 5), new(4, 16, 12, 8 + 8)], keys: 30);
        call.Run();
        foreach (Tensor gradient in new[] { call.Dk, call.Dv })
        {
            Assert.That(Read(backend, gradient.SliceRows(0, 2)), Is.All.Zero);
            Assert.That(Read(backend, gradient.SliceRows(7, 5)), Is.All.Zero);
            Assert.That(Read(backend, gradient.SliceRows(28, 2)), Is.All.Zero);
            Assert.That(Read(backend, gradient.SliceRows(2, 5)), Has.None.Zero);
        }
    }

    private static IEnumerable<SequenceSpan[]> BadSequences =>
    [
        [new(0, 9, 0, 9)],
        [new(0, 11, 0, 11)],
        [new(0, 4, 0, 4), new(5, 6, 4, 6)],
        [new(0, 10, 0, 9)],
        [new(0, 10, 1, 10)],
        [new(0, 10, -1, 10)],
        [new(0, 11, 0, 11), new(11, -1, 0, 0)],
        [new(0, 10, int.MaxValue - 4, 10)],
    ];

    [Test]
    public void Attention_BadSequences_ThrowBeforeWriting([ValueSource(nameof(BadSequences))] SequenceSpan[] sequences)
    {
        using var backend = new CpuBackend();
        using Call call = Call.Random(backend, [10], sequences, keys: 10);
        call.FillResults(7);
        Assert.That(call.Forward, Throws.ArgumentException.With.Message.StartsWith("layout: expected"));
        Assert.That(call.Backward, Throws.ArgumentException.With.Message.StartsWith("layout: expected"));
        Assert.That(call.Results.SelectMany(result => Read(backend, result)), Is.All.EqualTo(7));
    }

    [Test]
    public void AttentionBackward_SharedKeys_ThrowsBeforeWriting()
    {
        using var backend = new CpuBackend();
        using Call call = Call.Random(backend, [10], [new(0, 5, 0, 5), new(5, 5, 4, 5)], keys: 10);
        call.FillResults(7);
        Assert.That(call.Backward, Throws.ArgumentException.With.Message.Contains("keys of their own"));
        Assert.That(call.Results.SelectMany(result => Read(backend, result)), Is.All.EqualTo(7));
        Assert.That(call.Forward, Throws.Nothing);
    }

    private static float[] Read(IBackend backend, Tensor tensor)
    {
        using Tensor wide = backend.Allocate(DType.F32, tensor.Rows, tensor.Columns);
        backend.Convert(tensor, wide);
        float[] values = new float[wide.Length];
        backend.Download<float>(wide, values);
        return values;
    }

    /// <summary>Operands and results of a forward and a backward call.</summary>
    private sealed class Call : IDisposable
    {
        private readonly IBackend _backend;
        private readonly DType _type;
        private readonly AttentionLayout _layout;
        private readonly List<Tensor> _owned = [];

        private Call(IBackend backend, DType type, int dimension, IReadOnlyList<SequenceSpan> sequences, int queries, int keys)
        {
            (_backend, _type, _layout) = (backend, type, new(Heads, KeyHeads, dimension, sequences));
            int width = Heads * dimension, keyWidth = KeyHeads * dimension;
            Q = Own(type, queries, width);
            K = Own(type, keys, keyWidth);
            V = Own(type, keys, keyWidth);
            DOutput = Own(type, queries, width);
            Output = Own(type, queries, width);
            LogSumExp = Own(DType.F32, queries, Heads);
            Dq = Own(type, queries, width);
            Dk = Own(type, keys, keyWidth);
            Dv = Own(type, keys, keyWidth);
        }

        public Tensor Q { get; }

        public Tensor K { get; }

        public Tensor V { get; }

        public Tensor DOutput { get; }

        public Tensor Output { get; }

        public Tensor LogSumExp { get; }

        public Tensor Dq { get; }

        public Tensor Dk { get; }

        public Tensor Dv { get; }

        public Tensor[] Results => [Output, LogSumExp, Dq, Dk, Dv];

        public static Call Random(IBackend backend, params int[] lengths) => Random(backend, DType.F32, Dimension, lengths);

        public static Call Random(IBackend backend, DType type, int dimension, params int[] lengths)
        {
            var sequences = new List<SequenceSpan>();
            int row = 0;
            foreach (int length in lengths)
            {
                sequences.Add(new(row, length, row, length));
                row += length;
            }
            return Random(backend, type, dimension, sequences, row, row);
        }

        public static Call Random(IBackend backend, int[] lengths, IReadOnlyList<SequenceSpan> sequences, int keys) =>
            Random(backend, DType.F32, Dimension, sequences, lengths.Sum(), keys);

        private static Call Random(IBackend backend, DType type, int dimension, IReadOnlyList<SequenceSpan> sequences, int queries, int keys)
        {
            var call = new Call(backend, type, dimension, sequences, queries, keys);
            using var operands = new TransformerOperands(backend);
            foreach (Tensor tensor in new[] { call.Q, call.K, call.V, call.DOutput })
            {
                using Tensor wide = backend.Allocate(DType.F32, tensor.Rows, tensor.Columns);
                backend.Upload<float>(Array.ConvertAll(operands.Normal((int)tensor.Length), value => (float)value), wide);
                backend.Convert(wide, tensor);
            }
            return call;
        }

        /// <summary>The same numbers, of one sequence only.</summary>
        public Call Sequence(int row, int length)
        {
            var call = new Call(_backend, _type, _layout.HeadDimension, [new(0, length, 0, length)], length, length);
            foreach (var (source, destination) in new[] { (Q, call.Q), (K, call.K), (V, call.V), (DOutput, call.DOutput) })
                _backend.Convert(source.SliceRows(row, length), destination);
            return call;
        }

        public void Forward() => _backend.Attention(Q, K, V, _layout, Output, LogSumExp);

        public void Backward() => _backend.AttentionBackward(DOutput, Q, K, V, Output, LogSumExp, _layout, Dq, Dk, Dv);

        public void Run()
        {
            Forward();
            Backward();
        }

        public void ScaleQueries(double factor)
        {
            using Tensor wide = _backend.Allocate(DType.F32, Q.Rows, Q.Columns);
            _backend.Convert(Q, wide);
            _backend.Scale(factor, wide);
            _backend.Convert(wide, Q);
        }

        public void FillResults(double value)
        {
            foreach (Tensor result in Results)
                _backend.Fill(result, value);
        }

        public void Dispose() => _owned.ForEach(tensor => tensor.Dispose());

        private Tensor Own(DType type, int rows, int columns)
        {
            Tensor tensor = _backend.Allocate(type, rows, columns);
            _owned.Add(tensor);
            return tensor;
        }
    }
}
