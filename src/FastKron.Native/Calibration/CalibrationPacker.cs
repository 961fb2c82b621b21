using FastKron.Native.Compute.Reference;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Calibration;

/// <summary>Makes calibration sequences of documents, without padding.</summary>
/// <remarks>
/// Each document is encoded with its special tokens and cut into consecutive pieces of at most the context length; each piece is a sequence with positions
/// from 0. Pieces of one token are dropped: they have no next token.
/// </remarks>
public static class CalibrationPacker
{
    /// <summary>Fewest tokens of a sequence.</summary>
    public const int ShortestSequence = 2;

    /// <summary>Takes documents in a seeded order until the wanted number of tokens is reached exactly; the last piece is cut.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="documents">As <see cref="CalibrationText"/> reads them.</param>
    /// <param name="source">Where they came from, for the record.</param>
    /// <param name="context">Longest sequence in tokens.</param>
    /// <param name="tokens">Wanted number of tokens of all sequences.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="allowFewer">Takes all there is where the documents have fewer tokens.</param>
    /// <param name="cancellationToken">Checked at each document.</param>
    /// <exception cref="ArgumentOutOfRangeException">Context or tokens below 2.</exception>
    /// <exception cref="InvalidDataException">The documents have fewer tokens, and <paramref name="allowFewer"/> is not set, or none at all.</exception>
    public static CalibrationSet Pack(Tokenizer tokenizer, IReadOnlyList<string> documents, string source, int context, long tokens, ulong seed,
        bool allowFewer = false, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(context, ShortestSequence);
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, ShortestSequence);
        List<int[]> sequences = [];
        List<int> ids = [];
        long remaining = tokens;
        int used = 0;
        foreach (int document in Shuffle(documents.Count, seed))
        {
            if (remaining == 0)
                break;
            cancellationToken.ThrowIfCancellationRequested();
            ids.Clear();
            tokenizer.Encode(documents[document], addSpecialTokens: true, ids);
            int before = sequences.Count;
            for (int start = 0; start < ids.Count && remaining > 0; start += context)
            {
                int length = Cut(Math.Min(context, ids.Count - start), remaining);
                if (length == 0)
                    continue;
                sequences.Add([.. ids.GetRange(start, length)]);
                remaining -= length;
            }
            if (sequences.Count > before)
                used++;
        }
        long found = tokens - remaining;
        if (found == 0 || (remaining > 0 && !allowFewer))
        {
            throw new InvalidDataException(
                $"{source}: found {found:N0} usable tokens in {documents.Count:N0} documents, expected {tokens:N0}; give more text or ask for fewer tokens");
        }
        return CalibrationSet.Create(sequences, source, used);
    }

    // Tokens to take of a piece, 0 for none, so that what is still wanted afterwards is never a single token, which no sequence could give.
    private static int Cut(int available, long remaining)
    {
        int length = (int)Math.Min(available, remaining);
        if (remaining - length == 1)
            length--;
        return length >= ShortestSequence ? length : 0;
    }

    /// <summary>A seeded order of 0 … count − 1: Fisher–Yates from the last place down, with place ⌊w·(i+1)/2³²⌋ for place i, w word i of the sequence.</summary>
    internal static int[] Shuffle(int count, ulong seed)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int place = (int)((ulong)Philox.Word(seed, (ulong)i, RandomPurpose.Shuffle, item: 0) * (ulong)(i + 1) >> 32);
            (order[i], order[place]) = (order[place], order[i]);
        }
        return order;
    }
}
