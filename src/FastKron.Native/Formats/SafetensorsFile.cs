using System.IO.MemoryMappedFiles;

namespace FastKron.Native.Formats;

/// <summary>A safetensors file, memory-mapped for reading; its header was checked completely.</summary>
/// <remarks>Spans and addresses point into the mapping: they end with <see cref="Dispose"/>. Rules of the format: <see cref="SafetensorsHeader"/>.</remarks>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private readonly Dictionary<string, (SafetensorsTensor Tensor, long Offset)> _tensors;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _start;

    private SafetensorsFile(string path, MemoryMappedViewAccessor view, byte* start, SafetensorsHeader header)
    {
        (Path, _view, Tensors, Metadata) = (path, view, header.Tensors, header.Metadata);
        _start = start;
        _tensors = new(header.Tensors.Count);
        long offset = header.DataStart;
        foreach (SafetensorsTensor tensor in header.Tensors)
        {
            _tensors.Add(tensor.Name, (tensor, offset));
            offset += tensor.Bytes;
        }
    }

    /// <summary>Absolute path.</summary>
    public string Path { get; }

    /// <summary>All tensors, in the order of their bytes in the file.</summary>
    public IReadOnlyList<SafetensorsTensor> Tensors { get; }

    /// <summary>Strings that describe the file; empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Maps a file and checks its header.</summary>
    /// <exception cref="InvalidDataException">Not a whole, valid safetensors file: path, byte offset, found, expected, cure.</exception>
    /// <exception cref="IOException">Not there or not readable.</exception>
    public static SafetensorsFile Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
        long bytes = stream.Length;
        if (bytes == 0)
            throw MalformedFile.At(path, 0, "an empty file", "a safetensors file", "the download did not begin: repeat it");

        using var mapping = MemoryMappedFile.CreateFromFile(
            stream, mapName: null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        MemoryMappedViewAccessor view = mapping.CreateViewAccessor(0, bytes, MemoryMappedFileAccess.Read);
        byte* start = null;
        try
        {
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            start += view.PointerOffset;
            var header = SafetensorsHeader.Read(path, new ReadOnlySpan<byte>(start, (int)Math.Min(bytes, int.MaxValue)), bytes);
            return new SafetensorsFile(path, view, start, header);
        }
        catch
        {
            Unmap(view, start);
            throw;
        }
    }

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>Type and shape of a tensor.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    public SafetensorsTensor Tensor(string name) => Find(name).Tensor;

    /// <summary>Offset of a tensor's first byte in the file.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    public long Offset(string name) => Find(name).Offset;

    /// <summary>Address of a tensor's first byte; <see cref="SafetensorsTensor.Bytes"/> can be read from it. No alignment is promised.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    public nint Address(string name)
    {
        ObjectDisposedException.ThrowIf(_start is null, this);
        return (nint)(_start + Find(name).Offset);
    }

    /// <summary>A tensor's bytes.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    /// <exception cref="OverflowException">2³¹ bytes or more: use <see cref="Address"/>.</exception>
    public ReadOnlySpan<byte> Bytes(string name) => new((void*)Address(name), checked((int)Find(name).Tensor.Bytes));

    /// <summary>Unmaps the file.</summary>
    public void Dispose()
    {
        if (_start is null)
            return;
        Unmap(_view, _start);
        _start = null;
    }

    private static void Unmap(MemoryMappedViewAccessor view, byte* start)
    {
        if (start is not null)
            view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
    }

    private (SafetensorsTensor Tensor, long Offset) Find(string name) => _tensors.TryGetValue(name, out var found)
        ? found
        : throw new InvalidDataException($"{Path}: no tensor {name} among its {Tensors.Count}; the file is of another model or incomplete");
}
