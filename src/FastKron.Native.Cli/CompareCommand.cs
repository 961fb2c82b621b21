using System.CommandLine;
using System.Text;
using System.Text.Json;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron compare</c>: results of several runs beside each other, with paired tests against the first.</summary>
internal static class CompareCommand
{
    public static Command Create()
    {
        var runs = new Argument<string[]>("RUN")
        {
            Description = "result folders of fastkron evaluate --output, or models quantized with --evaluate; the first is what the others are compared with",
            Arity = ArgumentArity.OneOrMore,
        };
        var output = new Option<string[]>("--output") { Description = "files to write, by their ending: .md (table), .html (table and plot), .svg (plot) or .json", HelpName = "FILE", AllowMultipleArgumentsPerToken = true };
        var json = new Option<bool>("--json") { Description = "print the comparison as JSON" };
        var command = new Command("compare", "Compare results of fastkron evaluate, with paired tests.") { runs, output, json };
        command.SetAction(parsed =>
        {
            string[] files = parsed.GetValue(output) ?? [];
            foreach (string file in files)
                CheckEnding(file);
            RunComparison comparison = RunComparison.Of([.. parsed.GetRequiredValue(runs).Select(EvaluationResult.Read)]);
            foreach (string file in files)
                AtomicFile.WriteAllBytes(file, Encoding.UTF8.GetBytes(Render(comparison, file)));
            if (parsed.GetValue(json))
                Console.WriteLine(Json(comparison));
            else
                Write(comparison);
            return 0;
        });
        return command.WithExamples("fastkron compare RESULT-A RESULT-B --output compare.html compare.md");
    }

    private static void Write(RunComparison comparison)
    {
        (IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows) = ComparisonReport.Table(comparison);
        Table table = Output.Table([.. headers]);
        foreach (IReadOnlyList<string> row in rows)
            table.Row([.. row]);
        Output.Write(table);
    }

    private static void CheckEnding(string file)
    {
        if (Path.GetExtension(file) is not (".md" or ".html" or ".svg" or ".json"))
            throw new ArgumentException($"--output {file}: found the ending '{Path.GetExtension(file)}', expected .md, .html, .svg or .json");
    }

    private static string Render(RunComparison comparison, string file) => Path.GetExtension(file) switch
    {
        ".md" => ComparisonReport.Markdown(comparison),
        ".html" => ComparisonReport.Html(comparison),
        ".svg" => ComparisonReport.Svg(comparison),
        _ => Json(comparison),
    };

    private static string Json(RunComparison comparison) => JsonSerializer.Serialize(comparison, ReportJson.Default.RunComparison);
}
