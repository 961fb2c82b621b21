using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Tensors;

/// <summary>A matrix of numbers in host or device memory: rows lie <see cref="Stride"/> elements apart, columns are adjacent.</summary>
/// <remarks>
/// Every array of the engine is such a matrix. A vector has one row; a three-dimensional array (m, K, n) is seen as (m·K, n) or (m, K·n)
/// through <see cref="Reshape"/>, and one of its (m, n) planes through <see cref="Slice"/>. Views own nothing and must not outlive their owner.
/// </remarks>
public sealed unsafe class Tensor : IDisposable
{
    private readonly SafeHandle? _owned;

    /// <summary>Wraps memory. Backends and readers of memory-mapped files call this; everyone else asks <see cref="IBackend.Allocate"/>.</summary>
    /// <param name="owned">The handle to dispose with this tensor, or null for a view.</param>
    /// <param name="address">First element.</param>
    /// <param name="isHost">Whether <paramref name="address"/> can be read by the CPU.</param>
    /// <param name="type">Element type.</param>
    /// <param name="rows">Rows, at least 0.</param>
    /// <param name="columns">Columns, at least 0.</param>
    /// <param name="stride">Elements from one row to the next, at least <paramref name="columns"/>.</param>
    public Tensor(SafeHandle? owned, nint address, bool isHost, DType type, int rows, int columns, nint stride)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfLessThan(stride, columns);
        _owned = owned;
        (Address, IsHost, Type, Rows, Columns, Stride) = (address, isHost, type, rows, columns, stride);
    }

    /// <summary>Address of element (0, 0), in the memory that <see cref="IsHost"/> tells.</summary>
    public nint Address { get; }

    /// <summary>Whether the CPU can read <see cref="Address"/>.</summary>
    public bool IsHost { get; }

    /// <summary>Element type.</summary>
    public DType Type { get; }

    /// <summary>Number of rows.</summary>
    public int Rows { get; }

    /// <summary>Number of columns.</summary>
    public int Columns { get; }

    /// <summary>Elements from one row to the next.</summary>
    public nint Stride { get; }

    /// <summary>Rows · columns.</summary>
    public long Length => (long)Rows * Columns;

    /// <summary>Bytes of the elements, without the gaps between rows.</summary>
    public long Bytes => Length * Type.Size();

    /// <summary>Whether the rows follow each other without gaps.</summary>
    public bool IsContiguous => Stride == Columns || Rows <= 1;

    /// <summary>Allocates an uninitialised host tensor.</summary>
    public static Tensor AllocateHost(DType type, int rows, int columns)
    {
        HostMemory memory = HostMemory.Allocate(checked((nint)((long)rows * columns * type.Size())));
        return new Tensor(memory, memory.DangerousGetHandle(), isHost: true, type, rows, columns, columns);
    }

    /// <summary>A view of <paramref name="rows"/> rows from <paramref name="row"/> on.</summary>
    public Tensor SliceRows(int row, int rows) => Slice(row, rows, 0, Columns);

    /// <summary>A view of <paramref name="columns"/> columns from <paramref name="column"/> on.</summary>
    public Tensor SliceColumns(int column, int columns) => Slice(0, Rows, column, columns);

    /// <summary>A view of a rectangle; it owns nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The rectangle leaves this tensor.</exception>
    public Tensor Slice(int row, int rows, int column, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfNegative(column);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)row + rows, Rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)column + columns, Columns);
        return new Tensor(null, Address + (row * Stride + column) * Type.Size(), IsHost, Type, rows, columns, Stride);
    }

    /// <summary>The same elements seen as (<paramref name="rows"/>, <paramref name="columns"/>); a view that owns nothing.</summary>
    /// <exception cref="ArgumentException">Not contiguous, or the element counts differ.</exception>
    public Tensor Reshape(int rows, int columns)
    {
        if (!IsContiguous || (long)rows * columns != Length)
            throw new ArgumentException($"cannot see ({Rows}, {Columns}) with stride {Stride} as ({rows}, {columns})");
        return new Tensor(null, Address, IsHost, Type, rows, columns, columns);
    }

    /// <summary>The main diagonal of a square matrix seen as a column (rows, 1); a view that owns nothing.</summary>
    /// <exception cref="InvalidOperationException">Not square.</exception>
    public Tensor Diagonal()
    {
        if (Rows != Columns)
            throw new InvalidOperationException($"({Rows}, {Columns}) is not square");
        return new Tensor(null, Address, IsHost, Type, Rows, Math.Min(1, Rows), Stride + 1);
    }

    /// <summary>One row of a host tensor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Row<T>(int row) where T : unmanaged
    {
        CheckHost<T>();
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows);
        return new Span<T>((T*)Address + row * Stride, Columns);
    }

    /// <summary>All elements of a contiguous host tensor of at most 2³¹−1 elements.</summary>
    /// <exception cref="InvalidOperationException">Not contiguous, not on the host, another element type, or too long.</exception>
    public Span<T> AsSpan<T>() where T : unmanaged
    {
        CheckHost<T>();
        if (!IsContiguous)
            throw new InvalidOperationException($"({Rows}, {Columns}) with stride {Stride} is not contiguous");
        return new Span<T>((void*)Address, checked((int)Length));
    }

    /// <summary>Frees the memory if this tensor owns it.</summary>
    public void Dispose() => _owned?.Dispose();

    /// <inheritdoc/>
    public override string ToString() => $"{Type} ({Rows}, {Columns}){(IsContiguous ? "" : $" stride {Stride}")}{(IsHost ? "" : " device")}";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CheckHost<T>()
    {
        if (!IsHost || Unsafe.SizeOf<T>() != Type.Size())
            throw new InvalidOperationException($"{typeof(T).Name} span of {this}");
    }
}
