using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Tests.Compute.Reference;

namespace FastKron.Native.Tests.Compute;

/// <summary>Inputs and comparisons of the trellis cases.</summary>
internal static class TrellisOperands
{
    /// <summary>A packed matrix of random codes and what it decodes to.</summary>
    public static (TrellisMatrix Weights, float[] Dense) RandomMatrix(
        IBackend backend, TrellisCodebook codebook, TrellisLayout layout, int rows, int columns)
    {
        int tiles = rows / 16 * (columns / 16);
        ushort[] states = TrellisPackingTests.RandomRings(codebook, tiles), words = new ushort[tiles * codebook.PackedWords];
        TrellisPacking.Pack(codebook, layout, rows, columns, states, words);
        float[] values = new float[tiles * 256], dense = new float[values.Length];
        codebook.Decode(states, values);
        ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
        for (int i = 0; i < values.Length; i++)
        {
            int tile = i / 256, position = order[i % 256];
            dense[(tile / (columns / 16) * 16 + position / 16) * columns + tile % (columns / 16) * 16 + position % 16] = values[i];
        }
        Tensor codes = backend.Allocate(DType.U16, tiles, codebook.PackedWords);
        backend.Upload<ushort>(words, codes);
        return (new TrellisMatrix(codes, codebook, layout, rows, columns), dense);
    }

    /// <summary>Every code at every rate, in every layout it has.</summary>
    public static IEnumerable<(TrellisCodebook Codebook, TrellisLayout Layout)> Formats =>
    [
        .. from layout in Enum.GetValues<TrellisLayout>() from bits in Enumerable.Range(2, 3) select (TrellisCodes.Hybrid(bits), layout),
        .. from name in new[] { "1mad", "3inst", "mcg", "mul1" } from bits in Enumerable.Range(1, 8) select (Code(name, bits), TrellisLayout.QtipPlain),
    ];

    /// <summary>A code by its name in checkpoints.</summary>
    public static TrellisCodebook Code(string name, int bits) => name switch
    {
        "quantlut_sym" => TrellisCodes.Hybrid(bits),
        "1mad" => TrellisCodes.OneMad(bits),
        "3inst" => TrellisCodes.ThreeInstructions(bits),
        "mcg" => TrellisCodes.MultiplicativeCongruence(bits),
        "mul1" => TrellisCodes.MultipliedSums(bits),
        _ => throw new ArgumentException($"code {name}", nameof(name)),
    };

    /// <summary>Standard normal numbers, the same in every run.</summary>
    public static float[] Normal(int count)
    {
        float[] numbers = new float[count];
        Philox.Normal(seed: 23, RandomPurpose.Test, item: 0, numbers);
        return numbers;
    }

    /// <summary>Largest difference relative to the root mean square of the expected numbers.</summary>
    public static double LargestError(IBackend backend, Tensor actual, float[] expected)
    {
        using Tensor single = backend.Allocate(DType.F32, actual.Rows, actual.Columns);
        backend.Convert(actual, single);
        float[] numbers = new float[actual.Length];
        backend.Download<float>(single, numbers);
        double largest = expected.Zip(numbers).Max(pair => Math.Abs((double)pair.First - pair.Second));
        return largest / Math.Sqrt(expected.Average(e => (double)e * e));
    }

    /// <summary>Frees tensors.</summary>
    public static void Release(params ReadOnlySpan<Tensor> tensors)
    {
        foreach (Tensor tensor in tensors)
            tensor.Dispose();
    }
}
