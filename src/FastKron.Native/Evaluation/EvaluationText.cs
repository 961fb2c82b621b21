using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Calibration;
using FastKron.Native.Models;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>A text to measure on: token ids and where they came from.</summary>
/// <param name="Name">Set name in protocol ids: the file name, <c>+rows</c> when rows were joined, or <c>self</c>.</param>
/// <param name="Hash">SHA-256 of the text's UTF-8 bytes, or of the little-endian ids where there is no text; lower-case hex.</param>
/// <param name="Ids">The whole text, encoded once with the tokenizer's own special tokens.</param>
public sealed record EvaluationText(string Name, string Hash, IReadOnlyList<int> Ids)
{
    private const string RowsSuffix = ":rows", SelfPrefix = "self:";

    /// <summary>Text by its command-line spelling: a file, <c>FILE:rows</c>, or <c>self:TOKENS</c>, sampled from a model at temperature 1.</summary>
    /// <param name="argument">The spelling.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="model">Writes the <c>self:</c> text.</param>
    /// <param name="seed">Seed of that text.</param>
    /// <param name="cancellationToken">Stops the sampling.</param>
    /// <exception cref="InvalidDataException">Missing, not UTF-8, or no number of tokens.</exception>
    public static EvaluationText Resolve(string argument, Tokenizer tokenizer, DecoderModel model, ulong seed, CancellationToken cancellationToken = default)
    {
        if (!argument.StartsWith(SelfPrefix, StringComparison.Ordinal))
            return Read(argument, tokenizer);
        if (!int.TryParse(argument.AsSpan(SelfPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int tokens) || tokens < 2)
            throw new InvalidDataException($"{argument}: expected self:TOKENS with a number of tokens, for example self:16384");
        int context = Math.Min(tokens, model.Config.MaxPositions);
        int[] ids = [.. SelfCalibration.Sample(model, tokens, context, seed, progress: null, cancellationToken).Sequences.SelectMany(s => s)];
        return new EvaluationText($"self-{seed}", Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(ids.AsSpan()))), ids);
    }

    /// <summary>Reads a UTF-8 text file. <c>PATH:rows</c> joins its rows as WikiText tables do: rows keep their newline, a blank row is empty, "\n\n" between rows.</summary>
    /// <param name="argument">Path, with or without <c>:rows</c>.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <exception cref="InvalidDataException">Missing or not UTF-8.</exception>
    public static EvaluationText Read(string argument, Tokenizer tokenizer)
    {
        bool rows = argument.EndsWith(RowsSuffix, StringComparison.Ordinal);
        string path = rows ? argument[..^RowsSuffix.Length] : argument;
        if (!File.Exists(path))
            throw new InvalidDataException($"{path}: no such file; give a UTF-8 text file, FILE:rows to join its rows, or self:TOKENS");
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{path}: not UTF-8 at byte {e.Index}; convert the file to UTF-8", e);
        }
        if (rows)
            text = JoinRows(text);
        string name = Path.GetFileName(path) + (rows ? "+rows" : "");
        return new EvaluationText(name, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text))), tokenizer.Encode(text, addSpecialTokens: true));
    }

    /// <summary>Rows (split on LF, each keeping its LF; a row of white space alone becomes empty) joined with "\n\n": section 4's text from a WikiText file.</summary>
    public static string JoinRows(string text)
    {
        var joined = new StringBuilder(text.Length + text.Length / 64);
        int start = 0;
        bool first = true;
        while (start < text.Length)
        {
            int end = text.IndexOf('\n', start);
            int next = end < 0 ? text.Length : end + 1;
            ReadOnlySpan<char> row = text.AsSpan(start, next - start);
            if (!first)
                joined.Append("\n\n");
            if (!row.IsWhiteSpace())
                joined.Append(row);
            first = false;
            start = next;
        }
        return joined.ToString();
    }
}
