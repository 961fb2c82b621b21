using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Tests.Models;

/// <summary>Small decoders with random weights, made without files. Query width (32), hidden size (24) and key width (16) differ on purpose.</summary>
internal static class RandomModel
{
    public static ModelConfig Config(ModelFamily family, int layers = 2) => new()
    {
        Family = family,
        VocabularySize = 40,
        HiddenSize = 24,
        IntermediateSize = 28,
        Layers = layers,
        Heads = 4,
        KeyHeads = 2,
        HeadDimension = 8,
        MaxPositions = 64,
        RmsNormEpsilon = 1e-5f,
        Rotary = new RotarySettings(10000, Llama3: null),
        TiedHead = false,
        BosToken = 0,
        EosTokens = [1],
        TensorType = "float32",
    };

    /// <summary>A model; with <paramref name="headDeviation"/> 0 all its logits are 0.</summary>
    public static DecoderModel Create(IBackend backend, ModelConfig config, float headDeviation = 1)
    {
        uint item = 0;
        var workspace = new Workspace(backend);
        var rotary = new RotaryTables(backend, config);
        Tensor Matrix(int rows, int columns) => Normal(backend, rows, columns, item++, 1 / MathF.Sqrt(columns), mean: 0);
        Tensor Norm(int columns) => Normal(backend, 1, columns, item++, 0.2f, mean: 1);
        DecoderBlock[] blocks =
        [
            .. Enumerable.Range(0, config.Layers).Select(layer => new DecoderBlock(
                backend, config, layer,
                [.. BlockLinears.All.Select(l => new DenseLinear(backend, l.ModulePath(layer), Matrix(l.Shape(config).Outputs, l.Shape(config).Inputs)))],
                new BlockNorms(
                    Norm(config.HiddenSize), Norm(config.HiddenSize),
                    config.HasQueryKeyNorm ? Norm(config.HeadDimension) : null, config.HasQueryKeyNorm ? Norm(config.HeadDimension) : null),
                rotary, workspace)),
        ];
        Tensor embedding = Normal(backend, config.VocabularySize, config.HiddenSize, item++, 1, mean: 0);
        return new DecoderModel(
            backend, config, embedding, blocks, Norm(config.HiddenSize),
            Normal(backend, config.VocabularySize, config.HiddenSize, item++, headDeviation / MathF.Sqrt(config.HiddenSize), mean: 0), rotary, workspace);
    }

    /// <summary>A tensor of mean + deviation · N(0, 1).</summary>
    public static Tensor Normal(IBackend backend, int rows, int columns, uint item, float deviation = 1, float mean = 0)
    {
        float[] values = new float[rows * columns];
        Philox.Normal(seed: 17, RandomPurpose.Test, item, values);
        for (int i = 0; i < values.Length; i++)
            values[i] = mean + deviation * values[i];
        Tensor tensor = backend.Allocate(DType.F32, rows, columns);
        backend.Upload<float>(values, tensor);
        return tensor;
    }

    /// <summary>A matrix of random codes with random scales.</summary>
    public static QuantizedWeights Weights(int rows, int columns, int bits)
    {
        float[] inputScale = new float[columns], outputScale = new float[rows];
        Philox.Signs(19, RandomPurpose.InputSigns, 0, inputScale);
        Philox.Normal(19, RandomPurpose.OutputSigns, 0, outputScale);
        ushort[] codes = [.. Enumerable.Range(0, rows * columns / 256 * 16 * bits).Select(i => (ushort)Philox.Word(19, (ulong)i, RandomPurpose.Test, 1))];
        return new QuantizedWeights("m", rows, columns, TrellisCodes.Hybrid(bits), TrellisLayout.QtipKernel, codes, inputScale, outputScale);
    }

    /// <summary>Token ids below <paramref name="vocabulary"/>.</summary>
    public static int[] Ids(int count, int vocabulary, uint item) =>
        [.. Enumerable.Range(0, count).Select(i => (int)(Philox.Word(18, (ulong)i, RandomPurpose.Test, item) % (uint)vocabulary))];
}
