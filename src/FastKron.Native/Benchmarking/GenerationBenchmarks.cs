using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Benchmarking;

/// <summary>A step of generation without embedding and head: tokens of different sequences through 32 LLaMA-3-8B-shaped blocks of random codes.</summary>
internal static class GenerationBenchmarks
{
    private const int Blocks = 32, Distinct = 2;      // two blocks' codes, 108 MB at 2 bits, are more than a cache holds

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach (int bits in new[] { 2, 4 })
        {
            foreach (int tokens in new[] { 1, 8 })
                yield return Case(backend, bits, tokens);
        }
    }

    private static TimedOperation Case(IBackend backend, int bits, int tokens)
    {
        ModelConfig config = BlockBenchmarks.Config;
        var workspace = new Workspace(backend);
        var rotary = new RotaryTables(backend, config);
        DecoderBlock[] blocks = [.. Enumerable.Range(0, Distinct).Select(block =>
        {
            ILinear[] linears = [.. BlockLinears.All.Select(kind => new QuantizedLinear(backend, RandomWeights(kind.ModulePath(block), bits, kind.Shape(config)), workspace))];
            return new DecoderBlock(backend, config, block, linears, new BlockNorms(Ones(), Ones(), null, null), rotary, workspace);
        })];
        PackedBatch batch = PackedBatch.Create(backend, config, [.. Enumerable.Repeat(new int[1], tokens)]);
        Tensor input = BenchmarkData.Normal(backend, backend.ActivationType, tokens, config.HiddenSize), hidden = backend.Allocate(input.Type, tokens, config.HiddenSize);
        return new TimedOperation($"step/llama-3-8b/HYB/K{bits}/{tokens}", BenchmarkUnit.Milliseconds, Step, [.. blocks, batch, input, hidden, rotary, workspace])
        {
            Bytes = (double)Blocks / Distinct * blocks.Sum(b => b.WeightBytes),
        };

        void Step()
        {
            backend.Convert(input, hidden);
            for (int block = 0; block < Blocks; block++)
                blocks[block % Distinct].Forward(batch, hidden);
        }

        Tensor Ones()
        {
            Tensor ones = backend.Allocate(DType.F32, 1, config.HiddenSize);
            backend.Fill(ones, 1);
            return ones;
        }
    }

    private static QuantizedWeights RandomWeights(string name, int bits, (int Outputs, int Inputs) shape)
    {
        TrellisCodebook codebook = TrellisCodes.Hybrid(bits);
        float[] inputScale = new float[shape.Inputs], outputScale = new float[shape.Outputs];
        Philox.Normal(seed: 0, RandomPurpose.Test, item: 1, inputScale);
        Array.Fill(outputScale, 1 / MathF.Sqrt(shape.Inputs));
        for (int i = 0; i < inputScale.Length; i++)
            inputScale[i] = MathF.Sign(inputScale[i]);
        ushort[] codes = DecodeBenchmarks.RandomWords(shape.Outputs / 16 * (shape.Inputs / 16) * codebook.PackedWords);
        return new QuantizedWeights(name, shape.Outputs, shape.Inputs, codebook, TrellisLayout.QtipKernel, codes, inputScale, outputScale);
    }
}
