using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public Tensor Allocate(DType type, int rows, int columns) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination) where T : unmanaged => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Download<T>(Tensor source, Span<T> destination) where T : unmanaged => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Convert(Tensor source, Tensor destination) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Fill(Tensor destination, double value) => throw new NotImplementedException();
}
