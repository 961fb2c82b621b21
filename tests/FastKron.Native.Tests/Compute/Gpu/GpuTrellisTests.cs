using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Gpu;

/// <summary>What the list of cases does not reach: more tiles than run at once, ties, bad targets, unaligned and sliced tensors, batch invariance.</summary>
[RequiresGpu]
public sealed class GpuTrellisTests
{
    // More tiles than any device has blocks for at a time; zeros and equal huge targets tie everywhere.
    [Test]
    public void EncodeTiles_ManyTiles_GivesTheStatesOfTheCpu([Values(2, 3, 4)] int bits, [Values(128, 64, 10)] int window)
    {
        const int Tiles = 400, Margin = 3;
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        float[] weights = TrellisOperands.Normal(Tiles * (TrellisCodebook.TileSize + Margin));
        weights.AsSpan(0, 259).Clear();
        weights.AsSpan(259, 259).Fill(Viterbi.LargestTarget);
        using var cpu = new CpuBackend();
        using var gpu = new GpuBackend();
        Assert.That(States(gpu), Is.EqualTo(States(cpu)));

        ushort[] States(IBackend backend)
        {
            using Tensor targets = backend.Allocate(DType.F32, Tiles, TrellisCodebook.TileSize + Margin);
            using Tensor states = backend.Allocate(DType.U16, Tiles, codebook.Steps + Margin);
            ushort[] result = new ushort[states.Length];
            backend.Upload<float>(weights, targets);
            backend.Upload<ushort>(result, states);
            backend.EncodeTiles(
                codebook, new TailBitingWindow(window), targets.SliceColumns(0, TrellisCodebook.TileSize), states.SliceColumns(0, codebook.Steps));
            backend.Download<ushort>(states, result);
            return result;
        }
    }

    // Every rate has its own kernels; windows that end between the rows kept for the way back; more tiles than blocks; ties.
    [Test]
    public void EncodeTiles_ComputedCodes_GiveTheStatesOfTheCpu([Range(1, 8)] int bits)
    {
        const int Tiles = 150;
        TrellisCodebook codebook = TrellisCodes.MultipliedSums(bits);
        var window = new TailBitingWindow(bits % 2 == 0 ? 64 : 13);
        float[] weights = TrellisOperands.Normal(Tiles * TrellisCodebook.TileSize);
        weights.AsSpan(0, 256).Clear();
        for (int i = 256; i < 512; i++)
            weights[i] = MathF.Round(weights[i]);
        using var cpu = new CpuBackend();
        using var gpu = new GpuBackend();
        Assert.That(Encode(gpu, codebook, window, weights, CostPrecision.Exact).States, Is.EqualTo(Encode(cpu, codebook, window, weights, CostPrecision.Exact).States));
    }

    // The same tiles in both arithmetics, so sampling errors cancel; measured differences: 0.05 % up to 7 bits, 0.2 % at 8.
    [Test]
    public void EncodeTiles_PackedHalf_KeepsTheError([Values("quantlut_sym", "1mad", "3inst", "mcg", "mul1")] string name, [Range(1, 8)] int bits)
    {
        const int Tiles = 1001;      // odd: the last word has one tile
        if (name == "quantlut_sym" && bits is < 2 or > 4)
            Assert.Pass("HYB has 2, 3 and 4 bits");
        TrellisCodebook codebook = TrellisOperands.Code(name, bits);
        float rms = MathF.Sqrt(codebook.Values.ToArray().Average(v => v * v));
        float[] weights = TrellisOperands.Normal(Tiles * TrellisCodebook.TileSize);
        for (int i = 0; i < weights.Length; i++)
            weights[i] *= 0.9f * rms;
        using var gpu = new GpuBackend();
        var exact = Encode(gpu, codebook, TailBitingWindow.Half, weights, CostPrecision.Exact);
        var packed = Encode(gpu, codebook, TailBitingWindow.Half, weights, CostPrecision.PackedHalf);
        TestContext.Out.WriteLine($"{name} K = {bits}: {exact.Error:G5}, packed half {packed.Error / exact.Error - 1:P3}");
        Assert.That(packed.Error, Is.EqualTo(exact.Error).Within(0.5).Percent);
        AssertRings(codebook, packed.States);
    }

    [Test]
    public void EncodeTiles_PackedHalfBeyondItsRange_GivesTheStatesOfItsLimit([Values(2, 4)] int bits)
    {
        TrellisCodebook codebook = TrellisCodes.MultipliedSums(bits);
        float[] weights = TrellisOperands.Normal(3 * TrellisCodebook.TileSize);
        for (int i = 0; i < weights.Length; i++)
            weights[i] *= i % 7 == 0 || i / 256 == 1 ? 1e12f : 1;
        using var gpu = new GpuBackend();
        ushort[] states = Encode(gpu, codebook, TailBitingWindow.Full, weights, CostPrecision.PackedHalf).States;
        AssertRings(codebook, states);
        float[] limited = [.. weights.Select(w => Math.Clamp(w, -32, 32))];
        Assert.That(states, Is.EqualTo(Encode(gpu, codebook, TailBitingWindow.Full, limited, CostPrecision.PackedHalf).States));
    }

    [TestCase(float.NaN)]
    [TestCase(float.NegativeInfinity)]
    [TestCase(1e18f)]
    public void EncodeTiles_BadTarget_ThrowsAtTheNextWait(float bad)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(2);
        float[] weights = TrellisOperands.Normal(3 * TrellisCodebook.TileSize), spoilt = [.. weights];
        (spoilt[2 * 256 + 5], spoilt[2 * 256 + 9]) = (bad, float.NaN);
        using var gpu = new GpuBackend();
        ushort[] good = Encode(gpu, codebook, TailBitingWindow.Full, weights, CostPrecision.Exact).States;
        using Tensor targets = gpu.Allocate(DType.F32, 3, TrellisCodebook.TileSize), states = gpu.Allocate(DType.U16, 3, codebook.Steps);
        gpu.Upload<float>(spoilt, targets);
        gpu.EncodeTiles(codebook, TailBitingWindow.Full, targets, states);
        Assert.That(gpu.Synchronize, Throws.InstanceOf<ArithmeticException>().With.Message.StartsWith($"tile 2, weight 5: target {bad:R}"));
        ushort[] found = new ushort[good.Length];
        gpu.Download<ushort>(states, found);
        Assert.That(found[..(2 * codebook.Steps)], Is.EqualTo(good[..(2 * codebook.Steps)]), "the other tiles");
    }

    [Test]
    public void EncodeTiles_AnotherCode_IsRefused()
    {
        using var gpu = new GpuBackend();
        using Tensor targets = gpu.Allocate(DType.F32, 1, TrellisCodebook.TileSize), states = gpu.Allocate(DType.U16, 1, 128);
        gpu.Fill(targets, 0);
        Assert.That(
            () => gpu.EncodeTiles(TrellisCodes.Hybrid(2) with { Name = "lut" }, TailBitingWindow.Full, targets, states),
            Throws.InstanceOf<NotSupportedException>().With.Message.StartsWith("encoding lut, V = 2, at 2 bits on the GPU"));
    }

    // Codes two bytes beyond an aligned address, results at odd columns: no vector access may be taken.
    [Test]
    public void DecodeMatrix_UnalignedTensors_AgreesWithTheAligned(
        [ValueSource(nameof(SomeFormats))] (TrellisCodebook, TrellisLayout) format, [Values(DType.F32, DType.BF16, DType.F16)] DType type)
    {
        using var gpu = new GpuBackend();
        var (weights, _) = TrellisOperands.RandomMatrix(gpu, format.Item1, format.Item2, 64, 96);
        using Tensor codes = weights.Codes;
        using Tensor moved = gpu.Allocate(DType.U16, 1, (int)codes.Length + 1), dense = gpu.Allocate(type, 64, 96), odd = gpu.Allocate(type, 64, 97);
        Tensor tail = moved.SliceColumns(1, (int)codes.Length);
        gpu.Convert(codes.Reshape(1, (int)codes.Length), tail);
        gpu.DecodeMatrix(weights, dense);
        gpu.DecodeMatrix(weights with { Codes = tail.Reshape(codes.Rows, codes.Columns) }, odd.SliceColumns(1, 96));
        Assert.That(Numbers(gpu, odd.SliceColumns(1, 96)), Is.EqualTo(Numbers(gpu, dense)));
    }

    [Test]
    public void TrellisMatMul_RowOfABatch_EqualsTheRowAlone([ValueSource(nameof(SomeFormats))] (TrellisCodebook, TrellisLayout) format, [Values(2, 8)] int rows)
    {
        using var gpu = new GpuBackend();
        var (weights, _) = TrellisOperands.RandomMatrix(gpu, format.Item1, format.Item2, 64, 4128);
        using Tensor codes = weights.Codes, x = gpu.Allocate(DType.F32, rows, 4129), y = gpu.Allocate(DType.F32, rows, 65), alone = gpu.Allocate(DType.F32, 1, 64);
        gpu.Upload<float>(TrellisOperands.Normal((int)x.Length), x);
        Tensor inputs = x.SliceColumns(1, 4128), outputs = y.SliceColumns(1, 64);
        gpu.TrellisMatMul(inputs, weights, outputs);
        for (int row = 0; row < rows; row++)
        {
            gpu.TrellisMatMul(inputs.SliceRows(row, 1), weights, alone);
            Assert.That(Numbers(gpu, outputs.SliceRows(row, 1)), Is.EqualTo(Numbers(gpu, alone)), $"row {row}");
        }
    }

    // Inputs are brought into the range of float16 and back by powers of two; one far below the largest becomes 0.
    [Test]
    public void TrellisMatMul_AnyMagnitude_IsScaledExactly([ValueSource(nameof(SomeFormats))] (TrellisCodebook, TrellisLayout) format)
    {
        const int Columns = 256;
        float[] scales = [1, MathF.ScaleB(1, 100), MathF.ScaleB(1, -100), 0];
        using var gpu = new GpuBackend();
        var (weights, _) = TrellisOperands.RandomMatrix(gpu, format.Item1, format.Item2, 64, Columns);
        using Tensor codes = weights.Codes, x = gpu.Allocate(DType.F32, 4, Columns), y = gpu.Allocate(DType.F32, 4, 64);
        float[] normal = TrellisOperands.Normal(Columns);
        gpu.Upload<float>([.. from scale in scales from value in normal select scale * value], x);
        gpu.TrellisMatMul(x, weights, y);
        float[] results = Numbers(gpu, y);
        for (int row = 1; row < 4; row++)
            Assert.That(results[(64 * row)..(64 * (row + 1))], Is.EqualTo(results[..64].Select(v => v * scales[row])), $"scale {scales[row]}");
    }

    // Rounding to 11 bits: 2⁻¹²/√3 of each of the products, five times that for the largest of many.
    [Test]
    public void TrellisMatMul_FullInputs_AreRoundedToElevenBits([Values(1, 8)] int rows)
    {
        using var gpu = new GpuBackend();
        var (weights, dense) = TrellisOperands.RandomMatrix(gpu, TrellisCodes.Hybrid(2), TrellisLayout.QtipKernel, 64, 1024);
        using Tensor codes = weights.Codes, x = gpu.Allocate(DType.F32, rows, 1024), y = gpu.Allocate(DType.F32, rows, 64);
        float[] inputs = TrellisOperands.Normal(rows * 1024), expected = new float[rows * 64];
        gpu.Upload<float>(inputs, x);
        for (int i = 0; i < expected.Length; i++)
            expected[i] = (float)Enumerable.Range(0, 1024).Sum(c => (double)inputs[i / 64 * 1024 + c] * dense[i % 64 * 1024 + c]);
        gpu.TrellisMatMul(x, weights, y);
        Assert.That(TrellisOperands.LargestError(gpu, y, expected), Is.LessThan(5.0 / 4096 / 1.7));
    }

    // Every layout and rate of HYB, and computed codes of each kind whose codes are loaded 4, 8 and 16 bytes at a time.
    private static IEnumerable<(TrellisCodebook Codebook, TrellisLayout Layout)> SomeFormats =>
        TrellisOperands.Formats.Where(format => format.Codebook.Vector == 2 || (format.Codebook.Name, format.Codebook.Bits) is ("mul1", 2) or ("1mad", 4) or ("mcg", 7) or ("3inst", 8));

    private static (ushort[] States, double Error) Encode(
        IBackend backend, TrellisCodebook codebook, TailBitingWindow window, float[] weights, CostPrecision costs)
    {
        int tiles = weights.Length / TrellisCodebook.TileSize;
        using Tensor targets = backend.Allocate(DType.F32, tiles, TrellisCodebook.TileSize), states = backend.Allocate(DType.U16, tiles, codebook.Steps);
        ushort[] result = new ushort[states.Length];
        float[] values = new float[weights.Length];
        backend.Upload<float>(weights, targets);
        backend.EncodeTiles(codebook, window, targets, states, costs);
        backend.Download<ushort>(states, result);
        codebook.Decode(result, values);
        return (result, weights.Zip(values).Sum(pair => Math.Pow((double)pair.First - pair.Second, 2)));
    }

    private static void AssertRings(TrellisCodebook codebook, ushort[] states)
    {
        int steps = codebook.Steps, mask = 0xFFFF >> codebook.StepBits;
        for (int i = 0; i < states.Length; i++)
        {
            ushort next = states[i / steps * steps + (i + 1) % steps];
            Assert.That(next >> codebook.StepBits, Is.EqualTo(states[i] & mask), $"after state {i % steps} of tile {i / steps}");
        }
    }

    private static float[] Numbers(GpuBackend gpu, Tensor tensor)
    {
        using Tensor single = gpu.Allocate(DType.F32, tensor.Rows, tensor.Columns);
        gpu.Convert(tensor, single);
        float[] numbers = new float[single.Length];
        gpu.Download<float>(single, numbers);
        return numbers;
    }
}
