using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>One hidden state, or its gradient, of all calibration tokens: a matrix (T, hidden) for each micro-batch.</summary>
/// <param name="Parts">In device memory if resident, else in page-locked host memory.</param>
/// <param name="IsResident">Whether operations work on the parts themselves.</param>
internal sealed record HiddenState(Tensor[] Parts, bool IsResident)
{
    /// <summary>Passed when a part's last copy to the host is done.</summary>
    public IFence?[] Written { get; } = new IFence?[Parts.Length];

    /// <summary>Copies to the device that were started ahead.</summary>
    public HiddenView?[] Ahead { get; } = new HiddenView?[Parts.Length];
}

/// <summary>A micro-batch of a state on the device.</summary>
/// <param name="Tensor">(T, hidden).</param>
/// <param name="Buffer">The window buffer that holds it; null where it is the state's own part.</param>
internal sealed record HiddenView(Tensor Tensor, WindowBuffer? Buffer);

/// <summary>Device memory through which states of the host pass.</summary>
/// <param name="Memory">As many rows as the largest micro-batch has tokens.</param>
internal sealed record WindowBuffer(Tensor Memory)
{
    /// <summary>Passed when the buffer may be overwritten.</summary>
    public required IFence Free { get; set; }

    /// <summary>Passed when the buffer was filled from the host; null where an operation fills it.</summary>
    public IFence? Filled { get; set; }
}
