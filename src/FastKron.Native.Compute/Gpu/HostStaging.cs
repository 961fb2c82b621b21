using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

/// <summary>A ring of page-locked slots through which host memory is copied: the caller's memory is never touched after a call returns.</summary>
internal sealed unsafe class HostStaging : IDisposable
{
    private const int Slots = 16, SlotBytes = 1 << 20;

    // One thread copies a fifth of what the bus takes. While as many slots are filled, the others are on the bus.
    private const int Lanes = Slots / 2;

    private readonly CudaStream _stream;
    private readonly CudaPageLockedHostMemory<byte> _memory;
    private readonly CudaEvent[] _passed = new CudaEvent[Slots];
    private readonly Lock _copying = new();
    private int _next;

    /// <summary>Allocates the ring in the current context.</summary>
    public HostStaging(CudaStream stream)
    {
        _stream = stream;
        _memory = new CudaPageLockedHostMemory<byte>(Slots * SlotBytes);
        for (int slot = 0; slot < Slots; slot++)
            _passed[slot] = new CudaEvent(timing: false);
    }

    /// <summary>Enqueues a copy to the device; the source has been read when this returns.</summary>
    public void Upload(void* source, nint destination, long bytes)
    {
        lock (_copying)
        {
            for (long done = 0; done < bytes; done += Lanes * SlotBytes)
            {
                long rest = bytes - done, start = done;
                int lanes = (int)Math.Min(Lanes, (rest + SlotBytes - 1) / SlotBytes), first = _next;
                for (int lane = 0; lane < lanes; lane++)
                    Take();
                if (lanes == 1)
                    Fill(0);
                else
                    Parallel.For(0, lanes, Fill);
                for (int lane = 0; lane < lanes; lane++)
                {
                    int count = Count(lane), slot = (first + lane) % Slots;
                    new CudaDeviceVariable<byte>((nint)(destination + start + lane * SlotBytes), count).AsyncCopyToDevice(Slot(slot)[..count], _stream);
                    _passed[slot].Record(_stream);
                }

                int Count(int lane) => (int)Math.Min(SlotBytes, rest - lane * SlotBytes);

                void Fill(int lane) => new ReadOnlySpan<byte>((byte*)source + start + lane * SlotBytes, Count(lane)).CopyTo(Slot((first + lane) % Slots));
            }
        }
    }

    /// <summary>Copies from the device behind the work enqueued so far, and waits.</summary>
    public void Download(nint source, void* destination, long bytes)
    {
        lock (_copying)
        {
            // A slot is copied out just before it would be taken again.
            long chunks = (bytes + SlotBytes - 1) / SlotBytes;
            int first = _next;
            for (long chunk = 0; chunk < chunks + Slots - 1; chunk++)
            {
                if (chunk < chunks)
                {
                    int slot = Take(), count = Count(chunk);
                    new CudaDeviceVariable<byte>((nint)(source + chunk * SlotBytes), count).AsyncCopyToHost(Slot(slot)[..count], _stream);
                    _passed[slot].Record(_stream);
                }
                long arrived = chunk - (Slots - 1);
                if (arrived >= 0 && arrived < chunks)
                {
                    int slot = (int)((first + arrived) % Slots), count = Count(arrived);
                    _passed[slot].Synchronize();
                    Slot(slot)[..count].CopyTo(new Span<byte>((byte*)destination + arrived * SlotBytes, count));
                }
            }

            int Count(long chunk) => (int)Math.Min(SlotBytes, bytes - chunk * SlotBytes);
        }
    }

    /// <summary>Frees the ring; the stream must be idle.</summary>
    public void Dispose()
    {
        foreach (CudaEvent passed in _passed)
            passed.Dispose();
        _memory.Dispose();
    }

    /// <summary>The next slot, once the copy that used it last is done.</summary>
    private int Take()
    {
        int slot = _next;
        _next = (slot + 1) % Slots;
        _passed[slot].Synchronize();
        return slot;
    }

    private Span<byte> Slot(int slot) => _memory.AsSpan().Slice(slot * SlotBytes, SlotBytes);
}
