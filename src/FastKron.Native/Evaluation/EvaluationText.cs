using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FastKron.Native.Calibration;
using FastKron.Native.Models;

namespace FastKron.Native.Evaluation;

/// <summary>A text to measure on: token ids and where they came from.</summary>
/// <param name="Name">Set name in protocol ids: that of a published text, else the file name, with <c>+rows</c> when rows were joined, or <c>self-SEED</c>.</param>
/// <param name="Hash">SHA-256 of the text's UTF-8 bytes, or of the little-endian ids where there is no text; lower-case hex.</param>
/// <param name="Ids">The ids that blocks are cut of.</param>
public sealed record EvaluationText(string Name, string Hash, IReadOnlyList<int> Ids)
{
    /// <summary>Text that a model writes at temperature 1.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">Tokens wanted.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static EvaluationText Sample(DecoderModel model, int tokens, ulong seed, CancellationToken cancellationToken = default)
    {
        int context = Math.Min(tokens, model.Config.MaxPositions);
        int[] ids = [.. SelfCalibration.Sample(model, tokens, context, seed, progress: null, cancellationToken).Sequences.SelectMany(s => s)];
        return new EvaluationText($"self-{seed}", Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(ids.AsSpan()))), ids);
    }

    /// <summary>Block <paramref name="index"/> of <paramref name="length"/> ids.</summary>
    public int[] Block(int index, int length)
    {
        int[] ids = new int[length];
        for (int i = 0; i < length; i++)
            ids[i] = Ids[index * length + i];
        return ids;
    }

    /// <summary>Number of whole blocks, at most <paramref name="maximum"/>.</summary>
    /// <exception cref="InvalidDataException">The text is shorter than one.</exception>
    public int Blocks(int length, int? maximum)
    {
        int available = Ids.Count / length;
        return available > 0 ? Math.Min(available, maximum ?? int.MaxValue)
            : throw new InvalidDataException($"{Name}: {Ids.Count} tokens are less than one block of {length}; use a longer text or a shorter --block");
    }
}
