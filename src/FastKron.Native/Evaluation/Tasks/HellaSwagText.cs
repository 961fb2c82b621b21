using System.Text.RegularExpressions;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>The cleaning of HellaSwag's texts (evaluation.md section 2).</summary>
internal static partial class HellaSwagText
{
    /// <summary>Trims, makes sentence ends of titles, drops bracketed text, then halves runs of two spaces; in this order, and without trimming again.</summary>
    public static string Clean(string text)
        => Bracketed().Replace(PythonText.Strip(text).Replace(" [title]", ". ", StringComparison.Ordinal), "").Replace("  ", " ", StringComparison.Ordinal);

    [GeneratedRegex(@"\[.*?\]", RegexOptions.CultureInvariant)]
    private static partial Regex Bracketed();
}
