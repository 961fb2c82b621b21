using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>op(x) of a host tensor: the tensor or its transpose, without a copy.</summary>
internal readonly unsafe struct MatrixView
{
    private readonly byte* _address;
    private readonly nint _stride;

    /// <summary>Views a tensor, transposed or not.</summary>
    public MatrixView(Tensor tensor, bool transposed)
    {
        _address = (byte*)tensor.Address;
        (_stride, Type, IsTransposed) = (tensor.Stride, tensor.Type, transposed);
        (Rows, Columns) = transposed ? (tensor.Columns, tensor.Rows) : (tensor.Rows, tensor.Columns);
    }

    private MatrixView(in MatrixView source, byte* address, int rows, int columns, bool transposed)
    {
        _address = address;
        (_stride, Type, Rows, Columns, IsTransposed) = (source._stride, source.Type, rows, columns, transposed);
    }

    /// <summary>Rows of op(x).</summary>
    public int Rows { get; }

    /// <summary>Columns of op(x).</summary>
    public int Columns { get; }

    /// <summary>Element type.</summary>
    public DType Type { get; }

    /// <summary>Whether columns, not rows, of op(x) lie in adjacent memory.</summary>
    public bool IsTransposed { get; }

    /// <summary>Elements between the starts of two adjacent runs.</summary>
    public nint Stride => _stride;

    /// <summary>op(x)ᵀ.</summary>
    public MatrixView Transpose() => new(this, _address, Columns, Rows, !IsTransposed);

    /// <summary>A rectangle of op(x).</summary>
    public MatrixView Slice(int row, int rows, int column, int columns) => new(this, Address(row, column), rows, columns, IsTransposed);

    /// <summary>Address of element (row, column) of op(x).</summary>
    public byte* Address(int row, int column) =>
        _address + (IsTransposed ? column * _stride + row : row * _stride + column) * Type.Size();
}
