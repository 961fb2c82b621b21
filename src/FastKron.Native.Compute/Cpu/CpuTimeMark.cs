using System.Diagnostics;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Operations of the CPU are done when they return, so a mark is the time of its making.</summary>
internal sealed class CpuTimeMark : TimeMark
{
    private readonly long _timestamp = Stopwatch.GetTimestamp();

    public override double SecondsSince(TimeMark earlier) => Stopwatch.GetElapsedTime(((CpuTimeMark)earlier)._timestamp, _timestamp).TotalSeconds;

    public override void Dispose()
    {
    }
}
