using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Two tensors of one shape cut into runs of adjacent elements, the same cut for any number of threads.</summary>
internal readonly unsafe struct ElementPieces
{
    /// <summary>Most elements of a piece.</summary>
    public const int Size = 1 << 15;

    private readonly Tensor _x, _y;
    private readonly long _columns;
    private readonly int _perRow;

    /// <summary>Cuts x and y, which have the same shape.</summary>
    public ElementPieces(Tensor x, Tensor y)
    {
        (_x, _y) = (x, y);

        // Without gaps everything is one long row.
        (long rows, _columns) = x.IsContiguous && y.IsContiguous ? (Math.Min(1, x.Length), x.Length) : (x.Rows, x.Columns);
        _perRow = (int)((_columns + Size - 1) / Size);
        Count = checked((int)rows * _perRow);
    }

    /// <summary>Number of pieces.</summary>
    public int Count { get; }

    /// <summary>Number of elements.</summary>
    public long Length => _x.Length;

    /// <summary>Addresses and length of a piece.</summary>
    public int Get(int index, out void* x, out void* y)
    {
        int row = index / _perRow;
        long column = (long)(index % _perRow) * Size;
        x = (byte*)_x.Address + (nint)(row * _x.Stride + column) * _x.Type.Size();
        y = (byte*)_y.Address + (nint)(row * _y.Stride + column) * _y.Type.Size();
        return (int)Math.Min(Size, _columns - column);
    }
}
