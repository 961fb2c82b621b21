using System.Runtime.CompilerServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

/// <summary>Calls whose arguments do not fit: each must name the argument and write nothing.</summary>
public sealed class TransformerArgumentTests
{
    /// <summary>A call that must be refused: name of the argument at fault, and the call on a set of tensors.</summary>
    private static IEnumerable<TestCaseData> BadCalls
    {
        get
        {
            yield return Bad("y", (b, t) => b.Embedding(t.Ids, t.Matrix, t.Narrow));
            yield return Bad("y", (b, t) => b.Embedding(t.Ids, t.Matrix, t.Half));
            yield return Bad("ids", (b, t) => b.Embedding(t.LargeIds, t.Matrix, t.Result));
            yield return Bad("ids", (b, t) => b.Embedding(t.NegativeIds, t.Matrix, t.Result));
            yield return Bad("ids", (b, t) => b.Embedding(t.FewIds, t.Matrix, t.Result));
            yield return Bad("ids", (b, t) => b.Embedding(t.Row, t.Matrix, t.Result));
            yield return Bad("weight", (b, t) => b.RmsNorm(t.Matrix, t.ThreeColumns, 1e-5f, t.Result));
            yield return Bad("weight", (b, t) => b.RmsNorm(t.Matrix, t.Matrix, 1e-5f, t.Result));
            yield return Bad("y", (b, t) => b.RmsNorm(t.Matrix, t.Row, 1e-5f, t.Narrow));
            yield return Bad("x", (b, t) => b.RmsNorm(t.Half, t.Row, 1e-5f, t.Result));
            yield return Bad("dy", (b, t) => b.RmsNormBackward(t.Narrow, t.Matrix, t.Row, 1e-5f, t.Result, true));
            yield return Bad("dx", (b, t) => b.RmsNormBackward(t.Matrix, t.Matrix, t.Row, 1e-5f, t.Narrow, true));
            yield return Bad("headDimension", (b, t) => b.Rotary(t.Result, t.Ids, t.Table, t.Table, 3, false));
            yield return Bad("headDimension", (b, t) => b.Rotary(t.Result, t.Ids, t.Table, t.Table, 0, false));
            yield return Bad("cosines", (b, t) => b.Rotary(t.Result, t.Ids, t.Table, t.Table, 8, false));
            yield return Bad("sines", (b, t) => b.Rotary(t.Result, t.Ids, t.Table, t.Table.SliceRows(0, 3), 4, false));
            yield return Bad("positions", (b, t) => b.Rotary(t.Result, t.LargeIds, t.Table, t.Table, 4, false));
            yield return Bad("up", (b, t) => b.SwiGlu(t.Matrix, t.Narrow, t.Result));
            yield return Bad("y", (b, t) => b.SwiGlu(t.Matrix, t.Matrix, t.Narrow));
            yield return Bad("dUp", (b, t) => b.SwiGluBackward(t.Matrix, t.Matrix, t.Matrix, t.Result, t.Narrow));
            yield return Bad("dGate", (b, t) => b.SwiGluBackward(t.Matrix, t.Matrix, t.Matrix, t.Narrow, t.Result));
            yield return Bad("y", (b, t) => b.Add(t.Narrow, t.Result));
            yield return Bad("labels", (b, t) => b.CrossEntropy(t.Matrix, t.LargeIds, t.ResultRow));
            yield return Bad("losses", (b, t) => b.CrossEntropy(t.Matrix, t.Ids, t.Result));
            yield return Bad("logits", (b, t) => b.CrossEntropy(t.Matrix.SliceColumns(0, 0), t.Ids, t.ResultRow));
            yield return Bad("labels", (b, t) => b.CrossEntropyBackward(t.Result, t.LargeIds, 1));
            yield return Bad("labels", (b, t) => b.SampleLabels(t.Matrix, 1, RandomPurpose.Labels, 0, t.FewIds));
            yield return Bad("logits", (b, t) => b.SampleLabels(t.Half, 1, RandomPurpose.Labels, 0, t.Ids));
            yield return Bad("candidate", (b, t) => b.CompareLogits(t.Matrix, t.Narrow, t.Ids, t.Result.SliceColumns(0, LogitStatistics.Count)));
            yield return Bad("statistics", (b, t) => b.CompareLogits(t.Matrix, t.Matrix, t.Ids, t.Result));
            yield return Bad("q", (b, t) => b.Attention(t.Half, t.Matrix, t.Matrix, t.Layout, t.Result, null));
            yield return Bad("k", (b, t) => b.Attention(t.Matrix, t.Narrow, t.Matrix, t.Layout, t.Result, null));
            yield return Bad("v", (b, t) => b.Attention(t.Matrix, t.Matrix, t.Narrow, t.Layout, t.Result, null));
            yield return Bad("output", (b, t) => b.Attention(t.Matrix, t.Matrix, t.Matrix, t.Layout, t.Narrow, null));
            yield return Bad("logSumExp", (b, t) => b.Attention(t.Matrix, t.Matrix, t.Matrix, t.Layout, t.Result, t.Matrix));
            yield return Bad("layout", (b, t) => b.Attention(t.Matrix, t.Matrix, t.Matrix, t.Layout with { KeyHeads = 3 }, t.Result, null));
            yield return Bad("layout", (b, t) => b.Attention(t.Matrix, t.Matrix, t.Matrix, t.Layout with { HeadDimension = 0 }, t.Result, null));
        }
    }

    [TestCaseSource(nameof(BadCalls))]
    public void Operation_ArgumentDoesNotFit_ThrowsBeforeWriting(string argument, object call)
    {
        using var backend = new CpuBackend();
        using var tensors = new Tensors(backend);
        Assert.That(
            () => ((Action<IBackend, Tensors>)call)(backend, tensors),
            Throws.ArgumentException.With.Message.StartsWith($"{argument}: ").And.Property(nameof(ArgumentException.ParamName)).EqualTo(argument));
        Assert.That(tensors.Result.AsSpan<float>().ToArray(), Is.All.EqualTo(7));
        Assert.That(tensors.ResultRow.AsSpan<float>().ToArray(), Is.All.EqualTo(7));
        Assert.That(tensors.Ids.AsSpan<int>().ToArray(), Is.EqualTo([0, 1, 2, 3, 0]));
    }

    private static TestCaseData Bad(string argument, Action<IBackend, Tensors> call, [CallerArgumentExpression(nameof(call))] string text = "") =>
        new TestCaseData(argument, call).SetArgDisplayNames(argument, text);

    /// <summary>Five rows of eight columns, and what does not fit them.</summary>
    private sealed class Tensors(CpuBackend backend) : IDisposable
    {
        public Tensor Matrix { get; } = Filled(backend, DType.F32, 5, 8, 1);

        public Tensor Result { get; } = Filled(backend, DType.F32, 5, 8, 7);

        public Tensor ResultRow { get; } = Filled(backend, DType.F32, 1, 5, 7);

        public Tensor Narrow { get; } = Filled(backend, DType.F32, 5, 7, 1);

        public Tensor Half { get; } = Filled(backend, DType.BF16, 5, 8, 1);

        public Tensor Row { get; } = Filled(backend, DType.F32, 1, 8, 1);

        public Tensor ThreeColumns { get; } = Filled(backend, DType.F32, 1, 3, 1);

        /// <summary>Cosines or sines of five positions, heads of four elements.</summary>
        public Tensor Table { get; } = Filled(backend, DType.F32, 5, 2, 1);

        public Tensor Ids { get; } = Indices(backend, 0, 1, 2, 3, 0);

        public Tensor LargeIds { get; } = Indices(backend, 0, 1, 2, 3, 8);

        public Tensor NegativeIds { get; } = Indices(backend, 0, 1, -2, 3, 4);

        public Tensor FewIds { get; } = Indices(backend, 0, 1, 2, 3);

        public AttentionLayout Layout { get; } = new(2, 2, 4, [new(0, 5, 0, 5)]);

        public void Dispose()
        {
            foreach (Tensor tensor in new[] { Matrix, Result, ResultRow, Narrow, Half, Row, ThreeColumns, Table, Ids, LargeIds, NegativeIds, FewIds })
                tensor.Dispose();
        }

        private static Tensor Filled(CpuBackend backend, DType type, int rows, int columns, double value)
        {
            Tensor tensor = backend.Allocate(type, rows, columns);
            backend.Fill(tensor, value);
            return tensor;
        }

        private static Tensor Indices(CpuBackend backend, params int[] values)
        {
            Tensor tensor = backend.Allocate(DType.I32, 1, values.Length);
            backend.Upload<int>(values, tensor);
            return tensor;
        }
    }
}
