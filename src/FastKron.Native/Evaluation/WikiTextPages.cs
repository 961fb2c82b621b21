using System.Text;
using System.Text.RegularExpressions;

namespace FastKron.Native.Evaluation;

/// <summary>The pages of a raw WikiText file and their detokenized text (evaluation.md section 3).</summary>
internal static partial class WikiTextPages
{
    /// <summary>Cuts a file at its top headings, <c>= Title =</c>; a heading belongs to the page it opens. Blank pages are left out.</summary>
    public static IReadOnlyList<string> Split(string text)
    {
        List<string> pages = [], lines = [];
        foreach (string line in text.Split('\n'))
        {
            string heading = PythonText.Strip(line.Replace("= = =", "===", StringComparison.Ordinal).Replace("= =", "==", StringComparison.Ordinal));
            if (heading.StartsWith("= ", StringComparison.Ordinal) && heading.EndsWith(" =", StringComparison.Ordinal))
                Emit();
            lines.Add(line);
        }
        Emit();
        return pages;

        void Emit()
        {
            string page = string.Join('\n', lines);
            if (PythonText.Strip(page).Length > 0)
                pages.Add(page);
            lines.Clear();
        }
    }

    /// <summary>Pieces between white space; an empty first or last piece counts.</summary>
    public static int CountWords(string page) => 1 + Space().Count(page);

    /// <summary>Undoes the spaces and marks that WikiText's tokenizer put around punctuation.</summary>
    public static string Detokenize(string page)
    {
        var text = new StringBuilder(page).Replace("s '", "s'");
        string joined = SlashedDigit().Replace(text.ToString(), "/'[0-9]/");
        text = new StringBuilder(joined).Replace(" @-@ ", "-").Replace(" @,@ ", ",").Replace(" @.@ ", ".")
            .Replace(" : ", ": ").Replace(" ; ", "; ").Replace(" . ", ". ").Replace(" ! ", "! ").Replace(" ? ", "? ").Replace(" , ", ", ");
        joined = Parentheses().Replace(text.ToString(), "($1)");
        joined = Brackets().Replace(joined, "[$1]");
        joined = Braces().Replace(joined, "{$1}");
        joined = Quotes().Replace(joined, "\"$1\"");
        joined = Apostrophes().Replace(joined, "'$1'");
        return new StringBuilder(joined).Replace("= = = =", "====").Replace("= = =", "===").Replace("= =", "==").Replace(" ° ", "°")
            .Replace(" \n", "\n").Replace("\n ", "\n").Replace(" N ", " 1 ").Replace(" 's", "'s").ToString();
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();

    [GeneratedRegex("/' [0-9]/")]
    private static partial Regex SlashedDigit();

    [GeneratedRegex(@"\(\s*([^\)]*?)\s*\)")]
    private static partial Regex Parentheses();

    [GeneratedRegex(@"\[\s*([^\]]*?)\s*\]")]
    private static partial Regex Brackets();

    [GeneratedRegex(@"{\s*([^}]*?)\s*}")]
    private static partial Regex Braces();

    [GeneratedRegex("\"\\s*([^\"]*?)\\s*\"")]
    private static partial Regex Quotes();

    [GeneratedRegex(@"'\s*([^']*?)\s*'")]
    private static partial Regex Apostrophes();
}
