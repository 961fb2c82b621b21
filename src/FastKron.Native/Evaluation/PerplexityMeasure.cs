using System.Text;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>A text, cut by a protocol and ready to be scored.</summary>
public sealed class PerplexityMeasure
{
    private readonly string _protocol;
    private readonly int _window;
    private readonly IReadOnlyList<ScoredSequence>[] _blocks;
    private readonly double[] _units;                       // of each block, what its loss is taken per: scored tokens, or words of a page
    private readonly long? _bytes;

    private PerplexityMeasure(string protocol, int window, IReadOnlyList<ScoredSequence>[] blocks, double[] units, long? bytes = null)
        => (_protocol, _window, _blocks, _units, _bytes) = (protocol, window, blocks, units, bytes);

    /// <summary>Number of blocks, pages or chunks.</summary>
    public int Blocks => _blocks.Length;

    /// <summary>Tokens that are read.</summary>
    public long Tokens => _blocks.Sum(b => b.Sum(s => (long)s.Input.Length));

    /// <summary>Protocol <c>block/SET/LEN</c> (section 4): blocks without overlap, the tail dropped, LEN − 1 targets each.</summary>
    /// <param name="text">The text.</param>
    /// <param name="length">Tokens of a block, at least 2.</param>
    /// <param name="maxBlocks">Only the first so many; null for all.</param>
    /// <exception cref="InvalidDataException">The text is shorter than one block.</exception>
    public static PerplexityMeasure OfBlocks(EvaluationText text, int length, int? maxBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 2);
        IReadOnlyList<ScoredSequence>[] blocks = new IReadOnlyList<ScoredSequence>[text.Blocks(length, maxBlocks)];
        for (int b = 0; b < blocks.Length; b++)
        {
            int[] ids = text.Block(b, length);
            blocks[b] = [new ScoredSequence(ids[..^1], ids[1..])];
        }
        return new PerplexityMeasure($"block/{text.Name}/{length}", length, blocks, Equal(blocks.Length, length - 1));
    }

    /// <summary>Protocol <c>gguf/LEN</c> (section 5): chunks that begin with BOS, of which the second half is scored.</summary>
    /// <param name="text">The raw text.</param>
    /// <param name="length">Tokens of a chunk, at least 4.</param>
    /// <param name="maxBlocks">Only the first so many; null for all.</param>
    /// <param name="bos">Replaces the first token of each chunk; null for a model without BOS.</param>
    /// <exception cref="InvalidDataException">The text has fewer than two chunks.</exception>
    public static PerplexityMeasure OfChunks(EvaluationText text, int length, int? maxBlocks, int? bos)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 4);
        if (text.Ids.Count < 2 * length)
            throw new InvalidDataException($"{text.Name}: {text.Ids.Count} tokens, expected at least two chunks of {length}; use a longer text or a shorter --block");
        IReadOnlyList<ScoredSequence>[] chunks = new IReadOnlyList<ScoredSequence>[text.Blocks(length, maxBlocks)];
        for (int c = 0; c < chunks.Length; c++)
        {
            int[] ids = text.Block(c, length);
            ids[0] = bos ?? ids[0];
            chunks[c] = [new ScoredSequence(ids[..^1], ids[(length / 2 + 1)..])];
        }
        return new PerplexityMeasure($"gguf/{length}", length, chunks, Equal(chunks.Length, length - 1 - length / 2));
    }

    /// <summary>Protocol <c>rolling/wikitext</c> (section 3): every token of every page is predicted once, with up to <paramref name="window"/> tokens before it.</summary>
    /// <param name="name">Name of the text, for messages.</param>
    /// <param name="text">A raw WikiText file.</param>
    /// <param name="tokenizer">Encodes each page without special tokens.</param>
    /// <param name="window">Most tokens that the model reads.</param>
    /// <param name="maxPages">Only the first so many pages; null for all.</param>
    /// <param name="startToken">What stands before the first token of a page.</param>
    /// <exception cref="InvalidDataException">No page.</exception>
    public static PerplexityMeasure OfPages(string name, string text, Tokenizer tokenizer, int window, int? maxPages, int startToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(window, 2);
        string[] pages = [.. WikiTextPages.Split(text).Take(maxPages ?? int.MaxValue)];
        if (pages.Length == 0)
            throw new InvalidDataException($"{name}: found no page, expected a raw WikiText file with its headings; give such a file");
        IReadOnlyList<ScoredSequence>[] blocks = [.. pages.Select(page => Windows(tokenizer.Encode(WikiTextPages.Detokenize(page), addSpecialTokens: false), window, startToken))];
        return new PerplexityMeasure("rolling/wikitext", window, blocks, [.. pages.Select(p => (double)WikiTextPages.CountWords(p))], pages.Sum(p => (long)Encoding.UTF8.GetByteCount(p)));
    }

    /// <summary>Scores all blocks.</summary>
    /// <param name="scorer">The model.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public PerplexitySummary Run(SequenceScorer scorer, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        SequenceScore[][] scores = scorer.Score([.. _blocks.SelectMany(b => b).Select(s => new[] { s })], greedy: false, progress, cancellationToken);
        double[] losses = new double[_blocks.Length];
        int next = 0;
        for (int b = 0; b < losses.Length; b++)
        {
            for (int s = 0; s < _blocks[b].Count; s++)
                losses[b] -= scores[next++][0].LogLikelihood;
        }
        PerplexitySummary summary = PerplexitySummary.Of(_protocol, _window, PerUnit(losses));
        if (_bytes is not { } bytes)
            return summary;
        double perByte = losses.Sum() / bytes;
        return summary with { BytePerplexity = Math.Exp(perByte), BitsPerByte = perByte / Math.Log(2) };
    }

    // The ratio r = Σ loss / Σ units, spread over the blocks: r + (loss − r·units) / mean units. Its mean is r, and its standard error that of the ratio, blocks of any size.
    private double[] PerUnit(double[] losses)
    {
        double ratio = losses.Sum() / _units.Sum(), mean = Statistics.Mean(_units);
        return [.. losses.Zip(_units, (loss, units) => ratio + (loss - ratio * units) / mean)];
    }

    private static double[] Equal(int blocks, int units) => [.. Enumerable.Repeat((double)units, blocks)];

    // The first window predicts from the start token; every other reads a whole window and predicts its last tokens.
    private static List<ScoredSequence> Windows(int[] ids, int window, int startToken)
    {
        int first = Math.Min(window, ids.Length);
        List<ScoredSequence> windows = first == 0 ? [] : [new ScoredSequence([startToken, .. ids.AsSpan(0, first - 1)], ids[..first])];
        for (int done = first; done < ids.Length;)
        {
            int end = Math.Min(done + window, ids.Length);
            windows.Add(new ScoredSequence(ids[(end - window - 1)..(end - 1)], ids[done..end]));
            done = end;
        }
        return windows;
    }
}
