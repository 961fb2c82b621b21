using System.Text;
using System.Text.Json;
using FastKron.Native.Formats;

namespace FastKron.Native.Reports;

/// <summary>The two files that every run leaves in its output folder.</summary>
public static class ReportFiles
{
    /// <summary>Name of the report for machines.</summary>
    public const string Json = "report.json";

    /// <summary>Name of the report for people.</summary>
    public const string Html = "report.html";

    /// <summary>Writes or replaces both.</summary>
    public static void Write(string folder, QuantizationReport report)
    {
        AtomicFile.WriteAllBytes(Path.Combine(folder, Json), JsonSerializer.SerializeToUtf8Bytes(report, ReportJson.Default.QuantizationReport));
        AtomicFile.WriteAllBytes(Path.Combine(folder, Html), Encoding.UTF8.GetBytes(HtmlReport.Render(report)));
    }

    /// <summary>Reads a folder's report.</summary>
    /// <exception cref="InvalidDataException">Missing or not of this version.</exception>
    public static QuantizationReport Read(string folder)
    {
        string path = Path.Combine(folder, Json);
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), ReportJson.Default.QuantizationReport) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or FileNotFoundException)
        {
            throw new InvalidDataException($"{path}: no report of this version ({e.Message}); inspect the folder with the version that wrote it", e);
        }
    }
}
