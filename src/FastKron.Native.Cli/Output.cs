using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary>Results on standard output: tables in a terminal and in plain text when redirected.</summary>
internal static class Output
{
    /// <summary>The console for results; no colours or cursor movement when redirected.</summary>
    public static IAnsiConsole Results { get; } = AnsiConsole.Create(new AnsiConsoleSettings
    {
        Out = new AnsiConsoleOutput(Console.Out),
        Ansi = Console.IsOutputRedirected ? AnsiSupport.No : AnsiSupport.Detect,
        Interactive = InteractionSupport.No,
    });

    /// <summary>A line on standard error.</summary>
    public static void Warn(string message) => Console.Error.WriteLine($"warning: {message}");

    /// <summary>A table with right-aligned columns after the first.</summary>
    public static Table Table(params string[] headers)
    {
        var table = new Table { Border = Console.IsOutputRedirected ? TableBorder.Ascii2 : TableBorder.Rounded };
        for (int i = 0; i < headers.Length; i++)
            table.AddColumn(new TableColumn(new Text(headers[i])) { Alignment = i == 0 ? Justify.Left : Justify.Right, NoWrap = true });
        return table;
    }

    /// <summary>Adds a row of plain texts (no markup).</summary>
    public static void Row(this Table table, params string[] cells) => table.AddRow([.. cells.Select(c => new Text(c))]);

    /// <summary>Writes a table; a redirected one is as wide as it needs.</summary>
    public static void Write(Table table)
    {
        if (Console.IsOutputRedirected)
            Results.Profile.Width = 400;
        Results.Write(table);
    }
}
