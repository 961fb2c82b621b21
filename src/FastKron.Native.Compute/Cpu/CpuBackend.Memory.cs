using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <inheritdoc/>
    public Tensor Allocate(DType type, int rows, int columns) => Tensor.AllocateHost(type, rows, columns);

    /// <inheritdoc/>
    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination) where T : unmanaged
    {
        TensorArguments.RequireMemory(destination, onHost: true);
        TensorArguments.RequireElements<T>(destination, source.Length);
        for (int row = 0; row < destination.Rows; row++)
            source.Slice(row * destination.Columns, destination.Columns).CopyTo(destination.Row<T>(row));
    }

    /// <inheritdoc/>
    public void Download<T>(Tensor source, Span<T> destination) where T : unmanaged
    {
        TensorArguments.RequireMemory(source, onHost: true);
        TensorArguments.RequireElements<T>(source, destination.Length);
        for (int row = 0; row < source.Rows; row++)
            source.Row<T>(row).CopyTo(destination.Slice(row * source.Columns, source.Columns));
    }

    /// <inheritdoc/>
    public void Convert(Tensor source, Tensor destination)
    {
        MatrixArguments.Convert(onHost: true, source, destination);
        var pieces = new ElementPieces(source, destination);
        For(pieces.Length, pieces.Count, index =>
        {
            int count = pieces.Get(index, out void* from, out void* to);
            ElementConversion.Convert(source.Type, from, destination.Type, to, count);
        });
    }

    /// <inheritdoc/>
    public void Fill(Tensor destination, double value)
    {
        TensorArguments.RequireMemory(destination, onHost: true);
        var pieces = new ElementPieces(destination, destination);
        For(pieces.Length, pieces.Count, index =>
        {
            int count = pieces.Get(index, out _, out void* to);
            switch (destination.Type)
            {
                case DType.F32:
                    new Span<float>(to, count).Fill((float)value);
                    break;
                case DType.F64:
                    new Span<double>(to, count).Fill(value);
                    break;
                case DType.BF16:
                    new Span<BFloat16>(to, count).Fill(ElementConversion.ToBFloat16(value));
                    break;
                case DType.F16:
                    new Span<Half>(to, count).Fill((Half)value);
                    break;
                case DType.I32:
                    new Span<int>(to, count).Fill(checked((int)value));
                    break;
                default:
                    new Span<ushort>(to, count).Fill(checked((ushort)value));
                    break;
            }
        });
    }
}
