using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace FastKron.Native.Cli;

/// <summary>How numbers on the command line are read: with a decimal point, whatever the language of the system, and never with thousands separators (0,8 is no 8).</summary>
internal static class NumberOptions
{
    private const string Real = "a number such as 2.5", Whole = "a whole number", Natural = "a whole number, 0 or more";

    /// <summary>Sets the parser of every numeric option of a command and its subcommands.</summary>
    public static void Apply(Command command)
    {
        foreach (Option option in command.Options)
        {
            switch (option)
            {
                case Option<double> real:
                    real.CustomParser = result => One<double>(result, Real);
                    break;
                case Option<double?> real:
                    real.CustomParser = result => One<double>(result, Real);
                    break;
                case Option<double[]> reals:
                    reals.CustomParser = result => Many<double>(result, Real);
                    break;
                case Option<int> whole:
                    whole.CustomParser = result => One<int>(result, Whole);
                    break;
                case Option<int?> whole:
                    whole.CustomParser = result => One<int>(result, Whole);
                    break;
                case Option<ulong> seed:
                    seed.CustomParser = result => One<ulong>(result, Natural);
                    break;
            }
        }
        foreach (Command sub in command.Subcommands)
            Apply(sub);
    }

    private static T One<T>(ArgumentResult result, string expected) where T : INumber<T> => Many<T>(result, expected) is [var number, ..] ? number : T.Zero;

    private static T[] Many<T>(ArgumentResult result, string expected) where T : INumber<T>
    {
        NumberStyles style = expected == Real ? NumberStyles.Float : NumberStyles.AllowLeadingSign;
        var numbers = new List<T>(result.Tokens.Count);
        foreach (Token token in result.Tokens)
        {
            if (T.TryParse(token.Value, style, CultureInfo.InvariantCulture, out T? number) && T.IsFinite(number))
                numbers.Add(number);
            else
                result.AddError($"{(result.Parent as OptionResult)?.Option.Name} {token.Value}: expected {expected}");
        }
        return [.. numbers];
    }
}
