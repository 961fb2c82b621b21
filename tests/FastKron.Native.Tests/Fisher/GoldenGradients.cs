using System.Collections.Concurrent;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

/// <summary>X and D of block 0 for the six sequences of a model's Kronecker goldens, in float64, computed once by
/// <see cref="ReferenceDecoder"/>.</summary>
/// <remarks>
/// transformers rounds norms, softmax and rotary angles to float32 whatever the model's type, so its goldens themselves are exact to
/// about 1e-6 of an entry's root mean square.
/// </remarks>
internal static class GoldenGradients
{
    private const int Sequences = 6, Tokens = 32;

    private static readonly ConcurrentDictionary<string, Lazy<(double[] X, double[] D)[]>> Cache = new();

    /// <summary>X (T, n) and D (T, m) of all six sequences, F64; the caller disposes both.</summary>
    public static (Tensor X, Tensor D) Observed(IBackend backend, string model, BlockLinear linear)
    {
        (double[] x, double[] d) = Cache.GetOrAdd(model, name => new(() => Backpropagate(backend, name))).Value[(int)linear];
        return (ToTensor(backend, x), ToTensor(backend, d));
    }

    /// <summary>The six gradients of X and D.</summary>
    public static GradientStack Stack(IBackend backend, (Tensor X, Tensor D) observed, DType type)
    {
        var (x, d) = observed;
        var stack = new GradientStack(backend, "golden", d.Columns, x.Columns, Sequences, type);
        for (int k = 0; k < Sequences; k++)
        {
            Tensor xk = x.SliceRows(k * Tokens, Tokens), dk = d.SliceRows(k * Tokens, Tokens);
            if (type == DType.F64)
            {
                stack.Append(xk, dk);
                continue;
            }
            using Tensor x32 = backend.Allocate(DType.F32, Tokens, x.Columns), d32 = backend.Allocate(DType.F32, Tokens, d.Columns);
            backend.Convert(xk, x32);
            backend.Convert(dk, d32);
            stack.Append(x32, d32);
        }
        return stack;
    }

    /// <summary>Compares norms within the tolerance and sampled entries within the tolerance times the norm, in float64 also within 2e-5 of
    /// the root mean square.</summary>
    public static void AssertMatches(SolvedFactors factors, JsonElement golden, double tolerance, BlockLinear linear)
    {
        foreach ((string symbol, Tensor factor) in new[] { ("A", factors.HOut), ("B", factors.HIn) })
        {
            double[,] values = Dense.ToArray(factor);
            double norm = golden.GetProperty($"{symbol}_frobenius").GetDouble();
            Assert.That(Dense.Norm(values) / norm, Is.EqualTo(1).Within(tolerance), $"{linear} {symbol}");
            foreach (JsonElement sample in golden.GetProperty($"{symbol}_samples").EnumerateArray())
            {
                int index = sample[0].GetInt32();
                double within = factor.Type == DType.F64 ? Math.Min(tolerance * norm, 2e-5 * norm / factor.Rows) : tolerance * norm;
                double value = values[index / factor.Columns, index % factor.Columns];
                Assert.That(value, Is.EqualTo(sample[1].GetDouble()).Within(within), $"{linear} {symbol}[{index}]");
            }
        }
    }

    private static (double[] X, double[] D)[] Backpropagate(IBackend backend, string model)
    {
        string folder = GoldenModels.Folder(model);
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(GoldenModels.Golden(model, "golden_transformers.json")));
        JsonElement stored = golden.RootElement.GetProperty("kron").GetProperty("ids");
        int[][] ids = [.. stored.EnumerateArray().Select(s => s.EnumerateArray().Select(id => id.GetInt32()).ToArray())];
        Assert.That(ids, Has.Length.EqualTo(Sequences).And.All.Length.EqualTo(Tokens));
        using var decoder = new ReferenceDecoder(backend, folder);
        IReadOnlyList<(Tensor X, Tensor D)> observed = decoder.FirstBlock(ids);
        (double[], double[])[] result = [.. observed.Select(o => (o.X.AsSpan<double>().ToArray(), o.D.AsSpan<double>().ToArray()))];
        foreach (Tensor tensor in observed.SelectMany(o => new[] { o.X, o.D }).Distinct())
            tensor.Dispose();
        return result;
    }

    private static Tensor ToTensor(IBackend backend, double[] values)
    {
        Tensor tensor = backend.Allocate(DType.F64, Sequences * Tokens, values.Length / (Sequences * Tokens));
        backend.Upload<double>(values, tensor);
        return tensor;
    }
}
