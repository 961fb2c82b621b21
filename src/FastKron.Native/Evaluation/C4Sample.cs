using FastKron.Native.Formats;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>The blocks of C4 that published perplexities are measured on (evaluation.md section 4).</summary>
internal static class C4Sample
{
    private const int DefaultBlocks = 256;

    /// <summary>Draws a document until one is longer than a block, then the block's place in it; so many times.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="text">JSON lines with a <c>text</c> field.</param>
    /// <param name="hash">Hash of the text.</param>
    /// <param name="tokenizer">Encodes each document with its own special tokens.</param>
    /// <param name="length">Tokens of a block.</param>
    /// <param name="maxBlocks">Only the first so many; null for 256.</param>
    /// <exception cref="InvalidDataException">A broken line, or no document that is long enough.</exception>
    public static EvaluationText Draw(string path, string text, string hash, Tokenizer tokenizer, int length, int? maxBlocks)
    {
        string[] lines = text.TrimEnd('\n').Split('\n');
        var random = new PythonRandom(0);
        var ids = new List<int>();
        int blocks = Math.Min(maxBlocks ?? DefaultBlocks, DefaultBlocks);
        HashSet<int> tooShort = [];
        for (int block = 0; block < blocks; block++)
        {
            int[] document;
            do
            {
                int line = random.Between(0, lines.Length - 1);
                document = tooShort.Contains(line) ? [] : tokenizer.Encode(Read(path, lines[line], line + 1), addSpecialTokens: true);
                if (document.Length > length)
                    break;
                tooShort.Add(line);
                if (tooShort.Count == lines.Length)
                    throw new InvalidDataException($"{path}: none of {lines.Length} documents has more than {length} tokens; give a shorter --block");
            }
            while (true);
            int start = random.Between(0, document.Length - length - 1);
            ids.AddRange(document.AsSpan(start, length));
        }
        return new EvaluationText("c4", hash, ids);
    }

    private static string Read(string path, string line, int number)
        => JsonFields.Parse($"{path}: line {number}", System.Text.Encoding.UTF8.GetBytes(line), fields => fields.RequiredText("text"));
}
