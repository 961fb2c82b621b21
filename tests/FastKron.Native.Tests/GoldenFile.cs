namespace FastKron.Native.Tests;

/// <summary>Files of the Golden folders, which are part of the test assembly.</summary>
internal static class GoldenFile
{
    /// <summary>The bytes of a golden file.</summary>
    public static byte[] Read(string name)
    {
        using Stream stream = typeof(GoldenFile).Assembly.GetManifestResourceStream(name)
            ?? throw new FileNotFoundException($"{name}: no golden file of that name is embedded in the test assembly");
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
