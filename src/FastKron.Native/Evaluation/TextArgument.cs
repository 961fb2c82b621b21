using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Formats;

namespace FastKron.Native.Evaluation;

/// <summary>A text by its command-line spelling: <c>FILE</c>, <c>FILE:rows</c>, <c>FILE:pages</c>, <c>FILE:gguf</c>, <c>FILE:c4</c> or <c>self:TOKENS</c>.</summary>
/// <param name="Path">The file; empty for <see cref="TextForm.Self"/>.</param>
/// <param name="Form">What is made of it.</param>
/// <param name="Tokens">Tokens that the model writes; 0 for a file.</param>
public sealed record TextArgument(string Path, TextForm Form, int Tokens)
{
    private const string SelfPrefix = "self:";

    private static readonly (string Suffix, TextForm Form)[] Suffixes = [(":rows", TextForm.Rows), (":pages", TextForm.Pages), (":gguf", TextForm.Gguf), (":c4", TextForm.C4)];

    /// <summary>Reads a spelling; looks at no file.</summary>
    /// <exception cref="ArgumentException">self: without a number of tokens.</exception>
    public static TextArgument Parse(string argument)
    {
        if (argument.StartsWith(SelfPrefix, StringComparison.Ordinal))
        {
            return int.TryParse(argument.AsSpan(SelfPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int tokens) && tokens >= 2
                ? new TextArgument("", TextForm.Self, tokens)
                : throw new ArgumentException($"{argument}: expected self:TOKENS with a number of tokens, for example self:16384");
        }
        foreach ((string suffix, TextForm form) in Suffixes)
        {
            if (argument.EndsWith(suffix, StringComparison.Ordinal))
                return new TextArgument(argument[..^suffix.Length], form, 0);
        }
        return new TextArgument(argument, TextForm.Plain, 0);
    }

    /// <summary>Finds the file, where the text is one.</summary>
    /// <exception cref="InvalidDataException">It is not there.</exception>
    public void RequireFile()
    {
        if (Form != TextForm.Self && !File.Exists(Path))
            throw new InvalidDataException($"{Path}: no such file; give a UTF-8 text file (FILE, FILE:rows, FILE:pages, FILE:gguf, FILE:c4; also .gz) or self:TOKENS");
    }

    /// <summary>The text of the file, or that of its joined rows, and its hash.</summary>
    /// <exception cref="InvalidDataException">Missing or not UTF-8: path, byte.</exception>
    public (string Text, string Hash) Read()
    {
        RequireFile();
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(GzipFile.ReadAllBytes(Path));
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{Path}: not UTF-8 at byte {e.Index}; convert the file to UTF-8", e);
        }
        if (Form == TextForm.Rows)
            text = JoinRows(text);
        return (text, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text))));
    }

    /// <summary>Set name of the text where it is no published one.</summary>
    public string Name => System.IO.Path.GetFileName(Path) + (Form == TextForm.Rows ? "+rows" : "");

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
