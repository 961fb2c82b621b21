using System.Buffers.Binary;
using System.Text;

namespace FastKron.Native.Formats;

/// <summary>One tensor as the pickle of a torch.save file describes it.</summary>
/// <param name="Storage">Class of its storage: the element type.</param>
/// <param name="Key">Name of the storage's bytes in the archive.</param>
/// <param name="StorageElements">Elements that those bytes hold.</param>
/// <param name="Offset">First element.</param>
/// <param name="Shape">Elements along each axis.</param>
/// <param name="Strides">Elements from one index of an axis to the next.</param>
internal sealed record TorchTensor(string Storage, string Key, long StorageElements, long Offset, long[] Shape, long[] Strides);

/// <summary>Reads the pickle of a torch.save file that holds one tensor, and nothing else.</summary>
/// <remarks>
/// A pickle is a program for a stack machine that can call any function of Python. Nothing is called here: the instructions that torch writes for a
/// tensor are the only ones known, two function names and those of storage classes are the only globals, and their "calls" build the record above.
/// Source: Python's documentation of the pickle protocol 2 (PEP 307) and pickletools.
/// </remarks>
internal ref struct TorchPickle
{
    private const string Rebuild = "torch._utils _rebuild_tensor_v2", Dictionary = "collections OrderedDict", StoragePrefix = "torch ", StorageSuffix = "Storage";
    private const string Cure = "only torch.save of one tensor is read: save it again as such, or convert it to safetensors";
    private const int MaximumDepth = 64;

    private readonly string _path;
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly List<object?> _stack = [];
    private readonly Dictionary<uint, object?> _memo = [];
    private int _position;

    private TorchPickle(string path, ReadOnlySpan<byte> bytes)
    {
        _path = path;
        _bytes = bytes;
    }

    // What is on the stack besides numbers (long), truth values, strings and tuples (object?[]).
    private sealed record Mark;

    private sealed record Global(string Name);

    private sealed record Storage(string Class, string Key, long Elements);

    private sealed record EmptyDictionary;

    /// <summary>Reads it.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="bytes">The pickle.</param>
    /// <exception cref="InvalidDataException">Another instruction, name or object: path, byte, found, expected.</exception>
    public static TorchTensor Read(string path, ReadOnlySpan<byte> bytes) => new TorchPickle(path, bytes).Run();

    private TorchTensor Run()
    {
        while (true)
        {
            int start = _position;
            byte instruction = Take(1)[0];
            switch (instruction)
            {
                case 0x80:                                   // PROTO
                    if (Take(1)[0] is var version && version != 2)
                        throw Bad(start, $"pickle protocol {version}", "2");
                    break;
                case (byte)'c':                              // GLOBAL: module, name
                    Push(ReadGlobal(start));
                    break;
                case (byte)'q':                              // BINPUT
                    _memo[Take(1)[0]] = Top(start);
                    break;
                case (byte)'r':                              // LONG_BINPUT
                    _memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Top(start);
                    break;
                case (byte)'h':                              // BINGET
                    Push(Recall(start, Take(1)[0]));
                    break;
                case (byte)'j':                              // LONG_BINGET
                    Push(Recall(start, BinaryPrimitives.ReadUInt32LittleEndian(Take(4))));
                    break;
                case (byte)'(':
                    Push(new Mark());
                    break;
                case (byte)'X':                              // BINUNICODE
                    Push(ReadText(start));
                    break;
                case (byte)'K':                              // BININT1
                    Push((long)Take(1)[0]);
                    break;
                case (byte)'M':                              // BININT2
                    Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
                    break;
                case (byte)'J':                              // BININT
                    Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
                    break;
                case 0x8A:                                   // LONG1
                    Push(ReadLong(start));
                    break;
                case 0x88:                                   // NEWTRUE
                    Push(true);
                    break;
                case 0x89:                                   // NEWFALSE
                    Push(false);
                    break;
                case (byte)')':                              // EMPTY_TUPLE
                    Push(Array.Empty<object?>());
                    break;
                case 0x85 or 0x86 or 0x87:                   // TUPLE1 … TUPLE3
                    Push(PopMany(start, instruction - 0x84));
                    break;
                case (byte)'t':                              // TUPLE
                    PushTuple(start);
                    break;
                case (byte)'Q':                              // BINPERSID
                    Push(ToStorage(start, Pop(start)));
                    break;
                case (byte)'R':                              // REDUCE: "call" with a tuple of arguments
                    object? arguments = Pop(start), function = Pop(start);
                    Push(Build(start, function, arguments));
                    break;
                case (byte)'.':                              // STOP
                    if (_stack is [TorchTensor tensor] && _position == _bytes.Length)
                        return tensor;
                    throw Bad(start, _stack is [TorchTensor] ? "the end before the end of the data" : "another object than a tensor", "one tensor");
                default:
                    throw Bad(start, $"instruction 0x{instruction:X2}", "an instruction that torch writes for a tensor");
            }
        }
    }

    private readonly InvalidDataException Bad(int position, string found, string expected) => MalformedFile.At(_path, position, found + " in data.pkl", expected, Cure);

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > _bytes.Length - _position)
            throw Bad(_bytes.Length, "the end of the data", $"{count} more bytes");
        ReadOnlySpan<byte> taken = _bytes.Slice(_position, count);
        _position += count;
        return taken;
    }

    private readonly void Push(object? item)
    {
        if (_stack.Count == MaximumDepth)
            throw Bad(_position, $"more than {MaximumDepth} objects at once", "one tensor");
        _stack.Add(item);
    }

    private readonly object? Top(int start) => _stack.Count > 0 ? _stack[^1] : throw Bad(start, "an empty stack", "an object on it");

    private readonly object? Pop(int start)
    {
        object? top = Top(start);
        _stack.RemoveAt(_stack.Count - 1);
        return top;
    }

    private readonly object?[] PopMany(int start, int count)
    {
        if (_stack.Count < count)
            throw Bad(start, $"{_stack.Count} objects on the stack", $"{count}");
        object?[] items = [.. _stack[^count..]];
        _stack.RemoveRange(_stack.Count - count, count);
        return items;
    }

    private readonly void PushTuple(int start)
    {
        int mark = _stack.FindLastIndex(static item => item is Mark);
        if (mark < 0)
            throw Bad(start, "the end of a tuple", "its begin before");
        object?[] items = PopMany(start, _stack.Count - mark - 1);
        _stack[mark] = items;
    }

    private readonly object? Recall(int start, uint key) => _memo.TryGetValue(key, out object? item) ? item : throw Bad(start, $"object {key}, never stored", "one stored before");

    private Global ReadGlobal(int start)
    {
        string name = $"{ReadLine()} {ReadLine()}";
        bool storage = name.StartsWith(StoragePrefix, StringComparison.Ordinal) && name.EndsWith(StorageSuffix, StringComparison.Ordinal);
        return name is Rebuild or Dictionary || storage ? new Global(name) : throw Bad(start, $"the name {MalformedFile.Quote(name)}", $"{Rebuild}, {Dictionary} or a storage class of torch");
    }

    private string ReadLine()
    {
        int length = _bytes[_position..].IndexOf((byte)'\n');
        if (length < 0)
            throw Bad(_position, "a name without end", "a line feed behind it");
        return Encoding.UTF8.GetString(Take(length + 1)[..^1]);
    }

    private string ReadText(int start)
    {
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
        return length <= int.MaxValue ? Encoding.UTF8.GetString(Take((int)length)) : throw Bad(start, $"a text of {length} bytes", "a short one");
    }

    private long ReadLong(int start)
    {
        ReadOnlySpan<byte> number = Take(Take(1)[0]);
        if (number.Length > sizeof(long))
            throw Bad(start, $"a number of {number.Length} bytes", $"at most {sizeof(long)}");
        long value = number.Length > 0 && (number[^1] & 0x80) != 0 ? -1 : 0;
        for (int i = number.Length - 1; i >= 0; i--)
            value = value << 8 | number[i];
        return value;
    }

    private readonly Storage ToStorage(int start, object? id) => id is object?[] and ["storage", Global kind, string key, string, long elements] && elements >= 0
        ? new Storage(kind.Name, key, elements)
        : throw Bad(start, "a reference of another form", "('storage', class, key, device, elements)");

    private readonly object Build(int start, object? function, object? arguments) => (function, arguments) switch
    {
        (Global { Name: Dictionary }, object?[] and []) => new EmptyDictionary(),
        (Global { Name: Rebuild }, object?[] and [Storage storage, long offset, object?[] shape, object?[] strides, bool, EmptyDictionary]) =>
            new TorchTensor(storage.Class, storage.Key, storage.Elements, offset, Numbers(start, shape), Numbers(start, strides)),
        _ => throw Bad(start, "a call of another form", $"{Rebuild}(storage, offset, shape, strides, requires_grad, hooks) or {Dictionary}()"),
    };

    private readonly long[] Numbers(int start, object?[] items)
    {
        long[] numbers = new long[items.Length];
        for (int i = 0; i < items.Length; i++)
            numbers[i] = items[i] is long number and >= 0 ? number : throw Bad(start, "a shape or stride that is no number from 0 on", "whole numbers");
        return numbers;
    }
}
