using System.Runtime.InteropServices;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>The artefact of one rounded linear in a run directory.</summary>
public static class RoundedLinearFile
{
    private const string Version = "1";

    /// <summary>Writes the artefact; it appears whole or not at all.</summary>
    public static void Write(string path, RoundedLinear rounded)
    {
        QuantizedWeights weights = rounded.Weights;
        SafetensorsTensor[] tensors =
        [
            new("codes", SafetensorsType.U16, [weights.Codes.Length]),
            new("input_scale", SafetensorsType.F32, [weights.Columns]),
            new("output_scale", SafetensorsType.F32, [weights.Rows]),
        ];
        var metadata = new Dictionary<string, string>
        {
            ["version"] = Version,
            ["name"] = weights.Name,
            ["code"] = weights.Codebook.Name,
            ["bits"] = weights.Codebook.Bits.ToString(System.Globalization.CultureInfo.InvariantCulture),
            ["layout"] = weights.Layout.ToString(),
            ["statistics"] = JsonSerializer.Serialize(rounded.Statistics, ReportJson.Default.RoundingStatistics),
        };
        using SafetensorsWriter file = SafetensorsWriter.Create(path, tensors, metadata);
        file.Write("codes", MemoryMarshal.AsBytes(weights.Codes.AsSpan()));
        file.Write("input_scale", MemoryMarshal.AsBytes(weights.InputScale.AsSpan()));
        file.Write("output_scale", MemoryMarshal.AsBytes(weights.OutputScale.AsSpan()));
        file.Commit();
    }

    /// <summary>Reads an artefact back.</summary>
    /// <param name="path">File written by <see cref="Write"/>.</param>
    /// <param name="shape">The linear it must be of.</param>
    /// <param name="codebook">The code it must be in.</param>
    /// <exception cref="InvalidDataException">Another linear, code or version, or a damaged file.</exception>
    public static RoundedLinear Read(string path, LinearShape shape, TrellisCodebook codebook)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        string Field(string key) => file.Metadata.TryGetValue(key, out string? value) ? value : throw new InvalidDataException($"{path}: no '{key}' in the metadata; delete the run directory and start again");
        string found = $"version {Field("version")}, {Field("name")}, {Field("code")}, {Field("bits")} bits";
        string expected = $"version {Version}, {shape.Name}, {codebook.Name}, {codebook.Bits} bits";
        if (found != expected || !Enum.TryParse(Field("layout"), out TrellisLayout layout))
            throw new InvalidDataException($"{path}: expected {expected}, found {found}, layout {Field("layout")}; delete the run directory and start again");
        RoundingStatistics statistics = JsonSerializer.Deserialize(Field("statistics"), ReportJson.Default.RoundingStatistics)!;
        var weights = new QuantizedWeights(
            shape.Name, shape.Rows, shape.Columns, codebook, layout,
            MemoryMarshal.Cast<byte, ushort>(file.Bytes("codes")).ToArray(),
            MemoryMarshal.Cast<byte, float>(file.Bytes("input_scale")).ToArray(),
            MemoryMarshal.Cast<byte, float>(file.Bytes("output_scale")).ToArray());
        return new RoundedLinear(weights, statistics);
    }
}
