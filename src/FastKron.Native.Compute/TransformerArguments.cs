using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;
using static FastKron.Native.Compute.Tensors.TensorArguments;

namespace FastKron.Native.Compute;

/// <summary>Checks of the transformer and loss operations, the same on every backend; each throws <see cref="ArgumentException"/>.</summary>
/// <remarks>
/// Activations of one operation have one type: F32 on the host, F32 or BF16 on a device. Indices are checked on the host only: a device
/// would have to be waited for, so there an index outside its table makes its row NaN.
/// </remarks>
internal static class TransformerArguments
{
    /// <summary>Checks <see cref="IBackend.Embedding"/>.</summary>
    public static void Embedding(bool onHost, Tensor ids, Tensor table, Tensor y)
    {
        RequireActivations(table, onHost);
        Require(y, onHost, table.Type, y.Rows, table.Columns);
        RequireIndices(ids, onHost, y.Rows, 0, table.Rows);
    }

    /// <summary>Checks <see cref="IBackend.RmsNorm"/>.</summary>
    public static void RmsNorm(bool onHost, Tensor x, Tensor weight, Tensor y)
    {
        RequireGroups(onHost, x, weight);
        Require(y, onHost, x.Type, x.Rows, x.Columns);
    }

    /// <summary>Checks <see cref="IBackend.RmsNormBackward"/>.</summary>
    public static void RmsNormBackward(bool onHost, Tensor dy, Tensor x, Tensor weight, Tensor dx)
    {
        RequireGroups(onHost, x, weight);
        Require(dy, onHost, x.Type, x.Rows, x.Columns);
        Require(dx, onHost, x.Type, x.Rows, x.Columns);
    }

    /// <summary>Checks <see cref="IBackend.Rotary"/>.</summary>
    public static void Rotary(bool onHost, Tensor x, Tensor positions, Tensor cosines, Tensor sines, int headDimension)
    {
        if (headDimension <= 0 || headDimension % 2 != 0 || x.Columns % headDimension != 0)
            throw new ArgumentException($"headDimension: found {headDimension}, expected an even divisor of {x.Columns} columns", nameof(headDimension));
        RequireActivations(x, onHost);
        Require(cosines, onHost, DType.F32, cosines.Rows, headDimension / 2);
        Require(sines, onHost, DType.F32, cosines.Rows, headDimension / 2);
        RequireIndices(positions, onHost, x.Rows, 0, cosines.Rows);
    }

    /// <summary>Checks <see cref="IBackend.SwiGlu"/>.</summary>
    public static void SwiGlu(bool onHost, Tensor gate, Tensor up, Tensor y)
    {
        RequireActivations(gate, onHost);
        Require(up, onHost, gate.Type, gate.Rows, gate.Columns);
        Require(y, onHost, gate.Type, gate.Rows, gate.Columns);
    }

    /// <summary>Checks <see cref="IBackend.SwiGluBackward"/>.</summary>
    public static void SwiGluBackward(bool onHost, Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp)
    {
        RequireActivations(gate, onHost);
        Require(up, onHost, gate.Type, gate.Rows, gate.Columns);
        Require(dy, onHost, gate.Type, gate.Rows, gate.Columns);
        Require(dGate, onHost, gate.Type, gate.Rows, gate.Columns);
        Require(dUp, onHost, gate.Type, gate.Rows, gate.Columns);
    }

    /// <summary>Checks <see cref="IBackend.Add"/>.</summary>
    public static void Add(bool onHost, Tensor x, Tensor y)
    {
        RequireActivations(x, onHost);
        Require(y, onHost, x.Type, x.Rows, x.Columns);
    }

    /// <summary>Checks <see cref="IBackend.CrossEntropy"/>.</summary>
    public static void CrossEntropy(bool onHost, Tensor logits, Tensor labels, Tensor losses)
    {
        RequireLogits(logits, onHost);
        RequireIndices(labels, onHost, logits.Rows, int.MinValue, logits.Columns);
        Require(losses, onHost, DType.F32, 1, logits.Rows);
    }

    /// <summary>Checks <see cref="IBackend.CrossEntropyBackward"/>.</summary>
    public static void CrossEntropyBackward(bool onHost, Tensor logits, Tensor labels)
    {
        RequireLogits(logits, onHost);
        RequireIndices(labels, onHost, logits.Rows, int.MinValue, logits.Columns);
    }

    /// <summary>Checks <see cref="IBackend.SampleLabels"/>.</summary>
    public static void SampleLabels(bool onHost, Tensor logits, Tensor labels)
    {
        RequireLogits(logits, onHost);
        Require(labels, onHost, DType.I32, 1, logits.Rows);
    }

    /// <summary>Checks <see cref="IBackend.CompareLogits"/>.</summary>
    public static void CompareLogits(bool onHost, Tensor reference, Tensor candidate, Tensor labels, Tensor statistics)
    {
        RequireLogits(reference, onHost);
        Require(candidate, onHost, reference.Type, reference.Rows, reference.Columns);
        RequireIndices(labels, onHost, reference.Rows, int.MinValue, reference.Columns);
        Require(statistics, onHost, DType.F32, reference.Rows, LogitStatistics.Count);
    }

    private static void RequireGroups(bool onHost, Tensor x, Tensor weight)
    {
        RequireActivations(x, onHost);
        Require(weight, onHost, DType.F32, 1, weight.Columns);
        if (weight.Columns == 0 || x.Columns % weight.Columns != 0)
            throw new ArgumentException($"weight: found {weight.Columns} columns, expected a divisor of the {x.Columns} columns of x", nameof(weight));
    }

    private static void RequireLogits(Tensor logits, bool onHost, [CallerArgumentExpression(nameof(logits))] string name = "")
    {
        RequireActivations(logits, onHost, name);
        if (logits.Columns == 0)
            throw new ArgumentException($"{name}: found {logits}, expected at least one column", name);
    }

    private static void RequireActivations(Tensor tensor, bool onHost, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsHost != onHost || (tensor.Type != DType.F32 && (onHost || tensor.Type != DType.BF16)))
            throw new ArgumentException($"{name}: expected {(onHost ? "F32 in host" : "F32 or BF16 in device")} memory, found {tensor}", name);
    }

    private static void RequireIndices(Tensor tensor, bool onHost, int count, int lowest, int limit, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        Require(tensor, onHost, DType.I32, 1, count, name);
        if (!onHost)
            return;
        ReadOnlySpan<int> values = tensor.Row<int>(0);
        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] < lowest || values[i] >= limit)
                throw new ArgumentException($"{name}: expected numbers from {lowest} to {limit - 1}, found {values[i]} at {i}", name);
        }
    }
}
