using System.Text;

namespace FastKron.Native.Reports;

/// <summary>Writes tables as Markdown.</summary>
internal static class MarkdownTable
{
    /// <summary>Appends a table; all columns but the first few are right-aligned.</summary>
    /// <param name="page">Where.</param>
    /// <param name="headers">Column heads.</param>
    /// <param name="rows">Cells.</param>
    /// <param name="left">Left-aligned columns.</param>
    public static void Append(StringBuilder page, IReadOnlyList<string> headers, IEnumerable<IReadOnlyList<string>> rows, int left = 1)
    {
        AppendLine(headers);
        AppendLine([.. headers.Select((_, i) => i < left ? "---" : "---:")]);
        foreach (IReadOnlyList<string> row in rows)
            AppendLine(row);

        void AppendLine(IReadOnlyList<string> cells)
        {
            foreach (string cell in cells)
                page.Append("| ").Append(cell.Replace("|", "\\|", StringComparison.Ordinal)).Append(' ');
            page.Append("|\n");
        }
    }
}
