using System.Diagnostics;

namespace FastKron.Native.Compute.Cpu;

/// <summary>A moment: work on the CPU is done when the operation returns.</summary>
internal sealed class CpuFence : IFence
{
    private readonly long _moment = Stopwatch.GetTimestamp();

    /// <inheritdoc/>
    public bool IsPassed => true;

    /// <inheritdoc/>
    public void Wait()
    {
        // Passed when it was made.
    }

    /// <inheritdoc/>
    public double SecondsSince(IFence earlier) => Stopwatch.GetElapsedTime(((CpuFence)earlier)._moment, _moment).TotalSeconds;

    /// <inheritdoc/>
    public void Dispose()
    {
        // Holds nothing.
    }
}
