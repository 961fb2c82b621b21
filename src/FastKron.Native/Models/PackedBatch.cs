using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>Some whole sequences behind each other, without padding: ids, positions from 0 in each, and the attention layout.</summary>
public sealed class PackedBatch : IDisposable
{
    private PackedBatch(int tokens, Tensor ids, Tensor positions, AttentionLayout layout) => (Tokens, Ids, Positions, Layout) = (tokens, ids, positions, layout);

    /// <summary>T, tokens of all sequences.</summary>
    public int Tokens { get; }

    /// <summary>(1, T) I32.</summary>
    public Tensor Ids { get; }

    /// <summary>(1, T) I32.</summary>
    public Tensor Positions { get; }

    /// <summary>Row ranges of the sequences.</summary>
    public AttentionLayout Layout { get; }

    /// <summary>Packs sequences for a model's head shape.</summary>
    public static PackedBatch Create(IBackend backend, Formats.ModelConfig config, IReadOnlyList<int[]> sequences)
    {
        int tokens = sequences.Sum(s => s.Length), row = 0;
        int[] ids = new int[tokens], positions = new int[tokens];
        var spans = new List<SequenceSpan>(sequences.Count);
        foreach (int[] sequence in sequences)
        {
            sequence.CopyTo(ids, row);
            for (int i = 0; i < sequence.Length; i++)
                positions[row + i] = i;
            spans.Add(new SequenceSpan(row, sequence.Length, row, sequence.Length));
            row += sequence.Length;
        }
        Tensor idTensor = backend.Allocate(DType.I32, 1, tokens), positionTensor = backend.Allocate(DType.I32, 1, tokens);
        backend.Upload<int>(ids, idTensor);
        backend.Upload<int>(positions, positionTensor);
        return new PackedBatch(tokens, idTensor, positionTensor, new AttentionLayout(config.Heads, config.KeyHeads, config.HeadDimension, spans));
    }

    /// <summary>Frees ids and positions.</summary>
    public void Dispose()
    {
        Ids.Dispose();
        Positions.Dispose();
    }
}
