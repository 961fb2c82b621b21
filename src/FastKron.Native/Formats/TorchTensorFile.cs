using System.IO.Compression;

namespace FastKron.Native.Formats;

/// <summary>A file of <c>torch.save</c> with one contiguous float32 tensor, read without Python and without running its pickle.</summary>
/// <remarks>
/// A zip archive: <c>NAME/data.pkl</c> describes the tensor, <c>NAME/data/KEY</c> holds its elements, <c>NAME/byteorder</c> their order of bytes.
/// See <see cref="TorchPickle"/> for what is read of the pickle.
/// </remarks>
public sealed class TorchTensorFile : IDisposable
{
    private const string PickleName = "data.pkl", FloatStorage = "torch FloatStorage";
    private const int MaximumPickleBytes = 1 << 16;
    private const string Cure = "save the tensor again with torch.save(tensor.contiguous().float(), path)";

    private readonly FileStream _file;
    private readonly ZipArchive _archive;
    private readonly ZipArchiveEntry _values;

    private TorchTensorFile(string path, FileStream file, ZipArchive archive)
    {
        (Path, _file, _archive) = (path, file, archive);
        ZipArchiveEntry[] pickles = [.. archive.Entries.Where(static entry => entry.FullName.EndsWith($"/{PickleName}", StringComparison.Ordinal))];
        if (pickles is not [var entry])
            throw MalformedFile.In(path, PickleName, $"{pickles.Length} entries", "one", Cure);
        string prefix = entry.FullName[..^PickleName.Length];
        TorchTensor tensor = TorchPickle.Read(path, ReadEntry(entry, MaximumPickleBytes));
        if (tensor.Storage != FloatStorage)
            throw MalformedFile.In(path, "tensor", $"elements of {tensor.Storage}", FloatStorage, Cure);
        if (archive.GetEntry(prefix + "byteorder") is { } order && ReadEntry(order, 16) is var text && !text.AsSpan().SequenceEqual("little"u8))
            throw MalformedFile.In(path, "byteorder", MalformedFile.Quote(System.Text.Encoding.UTF8.GetString(text)), "little", Cure);

        Shape = tensor.Shape;
        long elements = 1;
        for (int axis = tensor.Shape.Length - 1; axis >= 0; axis--)
        {
            if (tensor.Strides.Length != tensor.Shape.Length || (tensor.Shape[axis] > 1 && tensor.Strides[axis] != elements))
                throw MalformedFile.In(path, "strides", SafetensorsTensor.Describe(tensor.Strides), $"those of a contiguous tensor {SafetensorsTensor.Describe(tensor.Shape)}", Cure);
            if (tensor.Shape[axis] > 0 && elements > long.MaxValue / sizeof(float) / tensor.Shape[axis])
                throw MalformedFile.In(path, "shape", SafetensorsTensor.Describe(tensor.Shape), "fewer elements", Cure);
            elements *= tensor.Shape[axis];
        }
        _values = archive.GetEntry($"{prefix}data/{tensor.Key}")
            ?? throw MalformedFile.In(path, $"data/{MalformedFile.Quote(tensor.Key)}", "nothing", "the elements", "the file is incomplete: copy it again");
        if (_values.CompressedLength != _values.Length)
            throw MalformedFile.In(path, _values.FullName, "compressed elements", "stored ones, as torch.save writes them", Cure);
        if (tensor.Offset != 0 || tensor.StorageElements != elements || _values.Length != elements * sizeof(float))
        {
            throw MalformedFile.In(
                path, _values.FullName, $"{_values.Length} bytes for {tensor.StorageElements} elements from {tensor.Offset} on",
                $"{elements * sizeof(float)} bytes for the {elements} elements of {SafetensorsTensor.Describe(tensor.Shape)} from 0 on", Cure);
        }
    }

    /// <summary>Absolute path.</summary>
    public string Path { get; }

    /// <summary>Elements along each axis, outermost first.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Opens a file and checks everything but the elements.</summary>
    /// <exception cref="InvalidDataException">No such file of one contiguous float32 tensor: path, place, found, expected, cure.</exception>
    /// <exception cref="IOException">Not there or not readable.</exception>
    public static TorchTensorFile Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        ZipArchive? archive = null;
        try
        {
            archive = new ZipArchive(file, ZipArchiveMode.Read, leaveOpen: true);
            return new TorchTensorFile(path, file, archive);
        }
        catch (Exception e)
        {
            archive?.Dispose();
            file.Dispose();
            if ((e is InvalidDataException or EndOfStreamException) && !e.Message.StartsWith(path, StringComparison.Ordinal))
                throw Damaged(path, e);
            throw;
        }
    }

    /// <summary>The elements: little-endian float32, row-major. One stream at a time.</summary>
    /// <exception cref="InvalidDataException">The archive is damaged.</exception>
    public Stream OpenValues()
    {
        try
        {
            return _values.Open();
        }
        catch (InvalidDataException e)
        {
            throw Damaged(Path, e);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        _archive.Dispose();
        _file.Dispose();
    }

    private static InvalidDataException Damaged(string path, Exception e) => new(
        $"{path}: found no whole zip archive ({e.Message.ReplaceLineEndings(" ")}), expected a file of torch.save; copy it again, or save it with torch 1.6 or newer", e);

    private static byte[] ReadEntry(ZipArchiveEntry entry, int maximum)
    {
        byte[] bytes = new byte[(int)Math.Min(entry.Length, maximum)];
        using Stream stream = entry.Open();
        stream.ReadExactly(bytes);
        return bytes;
    }
}
