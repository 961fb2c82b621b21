using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Fisher;

/// <summary>Kronecker factors of one linear as a safetensors file.</summary>
/// <remarks>
/// Tensors <c>hin</c> (n(n+1)/2) and <c>hout</c> (m(m+1)/2), F32: lower triangles packed by rows, (0,0), (1,0), (1,1), …, mean diagonal
/// 1; an absent one is the identity. Metadata: <c>format</c> (fastkron-factors), <c>version</c>, <c>name</c> (module path),
/// <c>evidence</c> (<see cref="FactorEvidence"/> as JSON).
/// </remarks>
public static class FactorFile
{
    /// <summary>Version of the format that is written, and the only one that is read.</summary>
    public const int Version = 1;

    // Rows are gathered to so many bytes for one call to the system.
    private const int PieceBytes = 4 << 20;

    private const string FormatName = "fastkron-factors", In = "hin", Out = "hout";
    private const string Cure = "delete the file and make the factors again";

    /// <summary>Name of a linear's file in a folder of factors: module path + <c>.safetensors</c>.</summary>
    public static string NameOf(string modulePath) => modulePath + ".safetensors";

    /// <summary>Writes the factors of a linear; the file appears whole or not at all.</summary>
    /// <exception cref="ArgumentException">A factor is no square F32 matrix on the host.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public static void Write(string path, KroneckerFactors factors)
    {
        var metadata = new Dictionary<string, string>
        {
            ["format"] = FormatName,
            ["version"] = Number(Version),
            ["name"] = factors.Name,
            ["evidence"] = JsonSerializer.Serialize(factors.Evidence, FactorJson.Default.FactorEvidence),
        };
        (string Name, Tensor Factor)[] present = [.. Present(factors)];
        IEnumerable<SafetensorsTensor> tensors = present.Select(p => new SafetensorsTensor(p.Name, SafetensorsType.F32, [PackedTriangle.Length(p.Factor.Rows)]));
        using var writer = SafetensorsWriter.Create(path, tensors, metadata);
        foreach ((string name, Tensor factor) in present)
        {
            var piece = new ArrayBufferWriter<byte>(PieceBytes);
            for (int row = 0; row < factor.Rows; row++)
            {
                piece.Write(MemoryMarshal.AsBytes(factor.Row<float>(row)[..(row + 1)]));
                if (piece.WrittenCount < PieceBytes && row < factor.Rows - 1)
                    continue;
                writer.Write(name, piece.WrittenSpan);
                piece.ResetWrittenCount();
            }
        }
        writer.Commit();
    }

    /// <summary>Reads the factors of a linear; the caller disposes them.</summary>
    /// <param name="path">File.</param>
    /// <param name="name">Module path that the file must be of.</param>
    /// <param name="outputs">m.</param>
    /// <param name="inputs">n.</param>
    /// <exception cref="InvalidDataException">Not a whole file of this format and version, of another linear or shape, or with values that
    /// are not finite or not normalised.</exception>
    /// <exception cref="IOException">Not there or not readable.</exception>
    public static KroneckerFactors Read(string path, string name, int outputs, int inputs)
    {
        using SafetensorsFile file = Open(path, name);
        FactorEvidence evidence = ReadEvidence(file);
        Tensor? hOut = ReadTriangle(file, Out, outputs);
        try
        {
            return new KroneckerFactors(name, hOut, ReadTriangle(file, In, inputs), evidence);
        }
        catch
        {
            hOut?.Dispose();
            throw;
        }
    }

    /// <summary>Reads how the factors of a linear were made, and nothing of the factors.</summary>
    /// <param name="path">File.</param>
    /// <param name="name">Module path that the file must be of.</param>
    /// <exception cref="InvalidDataException">As <see cref="Read"/>, but for what only the values show.</exception>
    /// <exception cref="IOException">Not there or not readable.</exception>
    public static FactorEvidence ReadEvidence(string path, string name)
    {
        using SafetensorsFile file = Open(path, name);
        return ReadEvidence(file);
    }

    /// <summary>Checks that the factors are of a linear of this name and shape; reads nothing of their values.</summary>
    /// <param name="path">File.</param>
    /// <param name="name">Module path that the file must be of.</param>
    /// <param name="outputs">m.</param>
    /// <param name="inputs">n.</param>
    /// <exception cref="InvalidDataException">As <see cref="Read"/>, but for what only the values show.</exception>
    /// <exception cref="IOException">Not there or not readable.</exception>
    public static void RequireShapes(string path, string name, int outputs, int inputs)
    {
        using SafetensorsFile file = Open(path, name);
        foreach ((string factor, int size) in new[] { (Out, outputs), (In, inputs) })
        {
            if (file.Contains(factor))
                RequireTriangle(file, factor, size);
        }
    }

    private static SafetensorsFile Open(string path, string name)
    {
        var file = SafetensorsFile.Open(path);
        try
        {
            Require(file, "format", FormatName, "these are no Kronecker factors");
            Require(file, "version", Number(Version), "another version of this program wrote it: " + Cure);
            Require(file, "name", name, "the file is of another linear: rename it, or choose the factors of this model");
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                if (tensor.Name is not (In or Out))
                    throw MalformedFile.In(file.Path, tensor.Name, "a tensor of that name", $"{In} and {Out}", Cure);
            }
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static IEnumerable<(string Name, Tensor Factor)> Present(KroneckerFactors factors)
    {
        foreach ((string name, Tensor? factor) in new[] { (In, factors.HIn), (Out, factors.HOut) })
        {
            if (factor is null)
                continue;
            if (factor.Type != DType.F32 || !factor.IsHost || factor.Rows != factor.Columns)
                throw new ArgumentException($"{factors.Name}: {name}: found {factor}, expected a square F32 matrix on the host", nameof(factors));
            yield return (name, factor);
        }
    }

    private static void Require(SafetensorsFile file, string key, string expected, string cure)
    {
        string found = Metadata(file, key);
        if (found != expected)
            throw MalformedFile.In(file.Path, $"metadata '{key}'", MalformedFile.Quote(found), $"'{expected}'", cure);
    }

    private static string Metadata(SafetensorsFile file, string key) => file.Metadata.TryGetValue(key, out string? value)
        ? value
        : throw MalformedFile.In(file.Path, $"metadata '{key}'", "none", "a factor file of this program", Cure);

    private static FactorEvidence ReadEvidence(SafetensorsFile file)
    {
        string json = Metadata(file, "evidence");
        try
        {
            return JsonSerializer.Deserialize(json, FactorJson.Default.FactorEvidence)
                ?? throw MalformedFile.In(file.Path, "metadata 'evidence'", "null", "an object", Cure);
        }
        catch (JsonException e)
        {
            throw MalformedFile.In(file.Path, "metadata 'evidence'", MalformedFile.Quote(e.Message), "the evidence as JSON", Cure);
        }
    }

    private static unsafe Tensor? ReadTriangle(SafetensorsFile file, string name, int size)
    {
        if (!file.Contains(name))
            return null;
        SafetensorsTensor stored = RequireTriangle(file, name, size);
        using var values = new UnmanagedMemoryStream((byte*)file.Address(name), stored.Bytes);
        (Tensor factor, double mean) = PackedTriangle.Read(values, size, file.Path, name);
        // Float32 sums of a solver leave the mean diagonal within 1e-6 of 1.
        if (Math.Abs(mean - 1) <= 1e-3)
            return factor;
        factor.Dispose();
        throw MalformedFile.In(file.Path, name, $"mean diagonal {Number(mean)}", "1", Cure);
    }

    private static SafetensorsTensor RequireTriangle(SafetensorsFile file, string name, int size)
    {
        SafetensorsTensor stored = file.Tensor(name);
        return stored.Type == SafetensorsType.F32 && stored.Shape is [var length] && length == PackedTriangle.Length(size) ? stored
            : throw MalformedFile.In(
                file.Path, name, $"{stored.Type.Name} {SafetensorsTensor.Describe(stored.Shape)}", $"F32 ({PackedTriangle.Length(size)}), the triangle of ({size}, {size})",
                "the factors are of another model, or damaged: " + Cure);
    }

    private static string Number(double value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>How <see cref="FactorEvidence"/> is written.</summary>
[JsonSerializable(typeof(FactorEvidence))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true)]
internal sealed partial class FactorJson : JsonSerializerContext;
