namespace FastKron.Native.Formats;

/// <summary>Composes the one-line messages of unreadable files: path, place, found, expected, cure.</summary>
internal static class MalformedFile
{
    /// <summary>An error at a byte of a file.</summary>
    public static InvalidDataException At(string path, long offset, string found, string expected, string cure) =>
        new($"{path}: at byte {offset}: found {found}, expected {expected}; {cure}");

    /// <summary>An error in a named part (tensor, field) of a file.</summary>
    public static InvalidDataException In(string path, string part, string found, string expected, string cure) =>
        new($"{path}: {part}: found {found}, expected {expected}; {cure}");

    /// <summary>A piece of a file for a message: control characters as dots, at most 60 characters.</summary>
    public static string Quote(string text)
    {
        ReadOnlySpan<char> head = text.AsSpan(0, Math.Min(text.Length, 60));
        return string.Create(head.Length + 2, head, static (span, head) =>
        {
            span[0] = span[^1] = '\'';
            for (int i = 0; i < head.Length; i++)
                span[i + 1] = char.IsControl(head[i]) || char.IsSurrogate(head[i]) ? '.' : head[i];
        });
    }
}
