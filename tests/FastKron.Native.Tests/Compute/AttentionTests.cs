using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

public sealed class AttentionTests
{
    private const int Heads = 6, KeyHeads = 2, Dimension = 16;
    private const int Width = Heads * Dimension, KeyWidth = KeyHeads * Dimension;

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
        backend.Scale(1000, call.Q);
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
        float[] values = new float[tensor.Length];
        backend.Download<float>(tensor, values);
        return values;
    }

    /// <summary>Operands and results of a forward and a backward call.</summary>
    private sealed class Call : IDisposable
    {
        private readonly IBackend _backend;
        private readonly AttentionLayout _layout;
        private readonly List<Tensor> _owned = [];

        private Call(IBackend backend, IReadOnlyList<SequenceSpan> sequences, int queries, int keys)
        {
            (_backend, _layout) = (backend, new(Heads, KeyHeads, Dimension, sequences));
            Q = Own(queries, Width);
            K = Own(keys, KeyWidth);
            V = Own(keys, KeyWidth);
            DOutput = Own(queries, Width);
            Output = Own(queries, Width);
            LogSumExp = Own(queries, Heads);
            Dq = Own(queries, Width);
            Dk = Own(keys, KeyWidth);
            Dv = Own(keys, KeyWidth);
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

        public static Call Random(IBackend backend, params int[] lengths)
        {
            var sequences = new List<SequenceSpan>();
            int row = 0;
            foreach (int length in lengths)
            {
                sequences.Add(new(row, length, row, length));
                row += length;
            }
            return Random(backend, lengths, sequences, row);
        }

        public static Call Random(IBackend backend, int[] lengths, IReadOnlyList<SequenceSpan> sequences, int keys)
        {
            var call = new Call(backend, sequences, lengths.Sum(), keys);
            using var operands = new TransformerOperands(backend);
            foreach (Tensor tensor in new[] { call.Q, call.K, call.V, call.DOutput })
                backend.Upload<float>(Array.ConvertAll(operands.Normal((int)tensor.Length), value => (float)value), tensor);
            return call;
        }

        /// <summary>The same numbers, of one sequence only.</summary>
        public Call Sequence(int row, int length)
        {
            var call = new Call(_backend, [new(0, length, 0, length)], length, length);
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

        public void FillResults(double value)
        {
            foreach (Tensor result in Results)
                _backend.Fill(result, value);
        }

        public void Dispose() => _owned.ForEach(tensor => tensor.Dispose());

        private Tensor Own(int rows, int columns)
        {
            Tensor tensor = _backend.Allocate(DType.F32, rows, columns);
            _owned.Add(tensor);
            return tensor;
        }
    }
}
