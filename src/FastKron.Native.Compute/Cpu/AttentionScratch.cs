using System.Buffers;
using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Pinned memory of one work item, rented from the array pool and handed out in 64-byte aligned pieces.</summary>
internal sealed unsafe class AttentionScratch : IDisposable
{
    private const int Alignment = 16;     // floats in 64 bytes

    private readonly float[] _array;
    private readonly float* _end;
    private GCHandle _pin;
    private float* _next;

    /// <summary>Rents room for pieces of together <paramref name="elements"/> floats; every piece is rounded up to 16.</summary>
    public AttentionScratch(long elements)
    {
        _array = ArrayPool<float>.Shared.Rent(checked((int)(elements + Alignment)));
        _pin = GCHandle.Alloc(_array, GCHandleType.Pinned);
        float* start = (float*)_pin.AddrOfPinnedObject();
        _end = start + _array.Length;
        _next = (float*)(((nint)start + 63) & ~(nint)63);
    }

    /// <summary>The next piece, uninitialised.</summary>
    /// <exception cref="InvalidOperationException">More was taken than was asked for.</exception>
    public float* Take(long elements)
    {
        float* piece = _next;
        _next += (elements + Alignment - 1) & -Alignment;
        return _next <= _end ? piece : throw new InvalidOperationException("attention scratch is too small");
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        _pin.Free();
        ArrayPool<float>.Shared.Return(_array);
    }
}
