using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public Tensor AllocateHost(DType type, int rows, int columns) => Tensor.AllocateHost(type, rows, columns);

    /// <inheritdoc/>
    public IFence Mark() => new CpuFence();

    /// <inheritdoc/>
    public IFence StartCopy(Tensor source, Tensor destination, params ReadOnlySpan<IFence> after)
    {
        TensorArguments.StartCopy(source, destination);
        Convert(source, destination);
        return new CpuFence();
    }

    /// <inheritdoc/>
    public void Await(IFence fence)
    {
        // Every fence was passed when it was made.
    }
}
