using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Elements below which an elementwise operation stays on the calling thread: starting the others costs some microseconds.</summary>
    private const int ParallelElements = 1 << 16;

    /// <inheritdoc/>
    public Tensor Allocate(DType type, int rows, int columns) => Tensor.AllocateHost(type, rows, columns);

    /// <inheritdoc/>
    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination) where T : unmanaged
    {
        RequireElements<T>(destination, source.Length);
        for (int row = 0; row < destination.Rows; row++)
            source.Slice(row * destination.Columns, destination.Columns).CopyTo(destination.Row<T>(row));
    }

    /// <inheritdoc/>
    public void Download<T>(Tensor source, Span<T> destination) where T : unmanaged
    {
        RequireElements<T>(source, destination.Length);
        for (int row = 0; row < source.Rows; row++)
            source.Row<T>(row).CopyTo(destination.Slice(row * source.Columns, source.Columns));
    }

    /// <inheritdoc/>
    public void Convert(Tensor source, Tensor destination)
    {
        TensorArguments.RequireHost(source);
        TensorArguments.RequireHost(destination);
        TensorArguments.RequireShape(destination, source.Rows, source.Columns);
        if (source.Type != destination.Type)
        {
            TensorArguments.RequireFloating(source);
            TensorArguments.RequireFloating(destination);
        }
        if (source.Length < ParallelElements)
        {
            for (int row = 0; row < source.Rows; row++)
                ConvertRow(source, destination, row);
        }
        else
        {
            ConvertParallel(source, destination);
        }
    }

    /// <inheritdoc/>
    public void Fill(Tensor destination, double value)
    {
        TensorArguments.RequireHost(destination);
        for (int row = 0; row < destination.Rows; row++)
        {
            switch (destination.Type)
            {
                case DType.F32:
                    destination.Row<float>(row).Fill((float)value);
                    break;
                case DType.F64:
                    destination.Row<double>(row).Fill(value);
                    break;
                case DType.BF16:
                    destination.Row<BFloat16>(row).Fill(ElementConversion.ToBFloat16(value));
                    break;
                case DType.F16:
                    destination.Row<Half>(row).Fill((Half)value);
                    break;
                case DType.I32:
                    destination.Row<int>(row).Fill(checked((int)value));
                    break;
                default:
                    destination.Row<ushort>(row).Fill(checked((ushort)value));
                    break;
            }
        }
    }

    private static void RequireElements<T>(Tensor tensor, int length) where T : unmanaged
    {
        TensorArguments.RequireHost(tensor, nameof(tensor));
        bool matches = tensor.Type switch
        {
            DType.F32 => typeof(T) == typeof(float),
            DType.F64 => typeof(T) == typeof(double),
            DType.BF16 => typeof(T) == typeof(BFloat16),
            DType.F16 => typeof(T) == typeof(Half),
            DType.I32 => typeof(T) == typeof(int),
            _ => typeof(T) == typeof(ushort),
        };
        if (!matches)
            throw new ArgumentException($"expected elements of {tensor.Type}, found {typeof(T).Name}", nameof(tensor));
        if (tensor.Length != length)
            throw new ArgumentException($"expected {tensor.Length} elements for {tensor}, found {length}", nameof(tensor));
    }

    private static void ConvertRow(Tensor source, Tensor destination, int row) =>
        ElementConversion.Convert(source.Type, Element(source, row, 0), destination.Type, Element(destination, row, 0), source.Columns);

    private void ConvertParallel(Tensor source, Tensor destination)
    {
        if (source.IsContiguous && destination.IsContiguous)
        {
            // Equal pieces, so that one long row is shared too.
            int pieces = checked((int)((source.Length + ParallelElements - 1) / ParallelElements));
            For(pieces, piece =>
            {
                long start = (long)piece * ParallelElements;
                int count = (int)Math.Min(ParallelElements, source.Length - start);
                ElementConversion.Convert(
                    source.Type, (byte*)source.Address + start * source.Type.Size(), destination.Type, (byte*)destination.Address + start * destination.Type.Size(), count);
            });
            return;
        }
        For(source.Rows, row => ConvertRow(source, destination, row));
    }

    /// <summary>Address of an element.</summary>
    private static void* Element(Tensor tensor, int row, int column) => (byte*)tensor.Address + (row * tensor.Stride + column) * tensor.Type.Size();
}
