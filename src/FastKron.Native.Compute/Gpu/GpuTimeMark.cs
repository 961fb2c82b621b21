using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

/// <summary>An event recorded in a stream.</summary>
internal sealed class GpuTimeMark : TimeMark
{
    private readonly CudaEvent _event = new();

    public GpuTimeMark(CudaStream stream) => _event.Record(stream);

    public override double SecondsSince(TimeMark earlier)
    {
        _event.Synchronize();
        return CudaEvent.ElapsedTime(((GpuTimeMark)earlier)._event, _event) * 1e-3;
    }

    public override void Dispose() => _event.Dispose();
}
