namespace FastKron.Native.Calibration;

/// <summary>A file argument of the calibration text: a path and how its text is cut into documents.</summary>
/// <param name="Path">Absolute path of an existing file.</param>
/// <param name="Split">How it is cut; only <see cref="DocumentSplit.File"/> for .jsonl, where each line is a document anyway.</param>
/// <param name="Marker">What stands between documents under <see cref="DocumentSplit.Marker"/>, else empty.</param>
public readonly record struct CalibrationFile(string Path, DocumentSplit Split, string Marker)
{
    /// <summary>Parses <c>path</c>, <c>path:lines</c>, <c>path:doc</c> or <c>path:marker</c>; a file whose name has a colon goes before a shorter one.</summary>
    /// <exception cref="FileNotFoundException">No part of the argument before a colon is a file.</exception>
    public static CalibrationFile Parse(string argument)
    {
        for (int end = argument.Length; end > 0; end = argument.LastIndexOf(':', end - 1))
        {
            string path = argument[..end];
            if (!File.Exists(path))
                continue;
            string suffix = end == argument.Length ? "" : argument[(end + 1)..];
            DocumentSplit split = suffix switch
            {
                "" => DocumentSplit.File,
                "lines" => DocumentSplit.Line,
                "doc" => DocumentSplit.WikiDoc,
                _ => DocumentSplit.Marker,
            };
            return new CalibrationFile(System.IO.Path.GetFullPath(path), split, split == DocumentSplit.Marker ? suffix : "");
        }
        throw new FileNotFoundException(
            $"{argument}: found no such file, expected FILE, FILE:lines, FILE:doc or FILE:MARKER with a .txt, .utf8 or .jsonl file, plain or .gz", argument);
    }
}
