using System.Globalization;
using System.Text;

namespace FastKron.Native.Evaluation;

/// <summary>The string functions of Python that published prompts are built with.</summary>
internal static class PythonText
{
    /// <summary>White space as <c>str.isspace</c> has it: .NET's and the four separators U+001C to U+001F.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001C' and <= '\u001F';

    /// <summary><c>str.strip()</c>.</summary>
    public static string Strip(string text)
    {
        int start = 0;
        while (start < text.Length && IsSpace(text[start]))
            start++;
        return text[start..^(start == text.Length ? 0 : TrailingSpace(text))];
    }

    /// <summary>White-space characters at the end.</summary>
    public static int TrailingSpace(string text)
    {
        int kept = text.Length;
        while (kept > 0 && IsSpace(text[kept - 1]))
            kept--;
        return text.Length - kept;
    }

    /// <summary><c>str.capitalize()</c>: the first code point in upper case, all others in lower case.</summary>
    public static string Capitalize(string text)
    {
        if (text.Length == 0)
            return text;
        int first = Rune.GetRuneAt(text, 0).Utf16SequenceLength;
        TextInfo casing = CultureInfo.InvariantCulture.TextInfo;
        return casing.ToUpper(text[..first]) + casing.ToLower(text[first..]);
    }

    /// <summary><c>len(text)</c>: Unicode code points.</summary>
    public static int Length(ReadOnlySpan<char> text)
    {
        int count = 0;
        foreach (Rune _ in text.EnumerateRunes())
            count++;
        return count;
    }
}
