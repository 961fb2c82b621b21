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

    [TestCase(float.NaN)]
    [TestCase(float.NegativeInfinity)]
    [TestCase(1e18f)]
    public void EncodeTiles_BadTarget_ThrowsBeforeAnythingIsWritten(float bad)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(2);
        using var gpu = new GpuBackend();
        using Tensor targets = gpu.Allocate(DType.F32, 3, TrellisCodebook.TileSize), states = gpu.Allocate(DType.U16, 3, codebook.Steps);
        float[] weights = new float[targets.Length];
        (weights[2 * 256 + 5], weights[2 * 256 + 9]) = (bad, float.NaN);
        ushort[] before = new ushort[states.Length], after = new ushort[states.Length];
        Array.Fill(before, (ushort)77);
        gpu.Upload<float>(weights, targets);
        gpu.Upload<ushort>(before, states);
        Assert.That(
            () => gpu.EncodeTiles(codebook, TailBitingWindow.Full, targets, states),
            Throws.InstanceOf<ArithmeticException>().With.Message.StartsWith($"tile 2, weight 5: target {bad:R}"));
        gpu.Download<ushort>(states, after);
        Assert.That(after, Is.EqualTo(before));
    }

    [Test]
    public void EncodeTiles_AnotherCode_IsRefused()
    {
        using var gpu = new GpuBackend();
        using Tensor targets = gpu.Allocate(DType.F32, 1, TrellisCodebook.TileSize), states = gpu.Allocate(DType.U16, 1, 128);
        gpu.Fill(targets, 0);
        Assert.That(
            () => gpu.EncodeTiles(TrellisCodes.Hybrid(2) with { Name = "lut" }, TailBitingWindow.Full, targets, states),
            Throws.InstanceOf<NotSupportedException>().With.Message.StartsWith("encoding lut at 2 bits"));
    }

    // Codes two bytes beyond an aligned address, results at odd columns: no vector access may be taken.
    [Test]
    public void DecodeMatrix_UnalignedTensors_AgreesWithTheAligned(
        [Values(2, 3, 4)] int bits, [Values] TrellisLayout layout, [Values(DType.F32, DType.BF16, DType.F16)] DType type)
    {
        using var gpu = new GpuBackend();
        var (weights, _) = TrellisOperands.RandomMatrix(gpu, bits, layout, 64, 96);
        using Tensor codes = weights.Codes;
        using Tensor moved = gpu.Allocate(DType.U16, 1, (int)codes.Length + 1), dense = gpu.Allocate(type, 64, 96), odd = gpu.Allocate(type, 64, 97);
        Tensor tail = moved.SliceColumns(1, (int)codes.Length);
        gpu.Convert(codes.Reshape(1, (int)codes.Length), tail);
        gpu.DecodeMatrix(weights, dense);
        gpu.DecodeMatrix(weights with { Codes = tail.Reshape(codes.Rows, codes.Columns) }, odd.SliceColumns(1, 96));
        Assert.That(Numbers(gpu, odd.SliceColumns(1, 96)), Is.EqualTo(Numbers(gpu, dense)));
    }

    [Test]
    public void TrellisMatMul_RowOfABatch_EqualsTheRowAlone(
        [Values(2, 3, 4)] int bits, [Values] TrellisLayout layout, [Values(DType.F32, DType.BF16)] DType type, [Values(2, 8)] int rows)
    {
        using var gpu = new GpuBackend();
        var (weights, _) = TrellisOperands.RandomMatrix(gpu, bits, layout, 64, 2048);
        using Tensor codes = weights.Codes, single = gpu.Allocate(DType.F32, rows, 2049), x = gpu.Allocate(type, rows, 2049);
        using Tensor y = gpu.Allocate(type, rows, 65), alone = gpu.Allocate(type, 1, 64);
        gpu.Upload<float>(TrellisOperands.Normal((int)single.Length), single);
        gpu.Convert(single, x);
        Tensor inputs = x.SliceColumns(1, 2048), outputs = y.SliceColumns(1, 64);
        gpu.TrellisMatMul(inputs, weights, outputs);
        for (int row = 0; row < rows; row++)
        {
            gpu.TrellisMatMul(inputs.SliceRows(row, 1), weights, alone);
            Assert.That(Numbers(gpu, outputs.SliceRows(row, 1)), Is.EqualTo(Numbers(gpu, alone)), $"row {row}");
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
