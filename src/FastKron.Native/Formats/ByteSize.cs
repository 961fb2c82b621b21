using System.Globalization;

namespace FastKron.Native.Formats;

/// <summary>Numbers of bytes for people.</summary>
public static class ByteSize
{
    private static readonly string[] Units = ["bytes", "kB", "MB", "GB", "TB"];

    /// <summary>Three digits and a decimal unit: <c>5.34 MB</c>, <c>16.1 GB</c>.</summary>
    public static string ToText(long bytes)
    {
        double value = bytes;
        int unit = 0;
        for (; Math.Abs(value) >= 999.5 && unit < Units.Length - 1; unit++)
            value /= 1000;
        return string.Create(CultureInfo.InvariantCulture, $"{value:G3} {Units[unit]}");
    }
}
