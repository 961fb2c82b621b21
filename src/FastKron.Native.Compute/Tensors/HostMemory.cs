using System.Globalization;
using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Tensors;

/// <summary>A 64-byte aligned block of native memory, freed on disposal.</summary>
public sealed unsafe class HostMemory : SafeHandle
{
    /// <summary>Alignment of every block in bytes: one cache line, one AVX-512 register.</summary>
    public const int Alignment = 64;

    private static long _outstanding;

    private HostMemory(nint address, nint bytes) : base(0, ownsHandle: true)
    {
        SetHandle(address);
        Bytes = bytes;
        GC.AddMemoryPressure(Math.Max(1, bytes));
        Interlocked.Add(ref _outstanding, bytes);
    }

    /// <summary>Bytes of all blocks that are allocated and not yet freed, process-wide.</summary>
    public static long OutstandingBytes => Interlocked.Read(ref _outstanding);

    /// <summary>Bytes of memory that the machine, or the container, can still give without swapping.</summary>
    public static long AvailableBytes
    {
        get
        {
            GCMemoryInfo info = GC.GetGCMemoryInfo();
            long unused = info.TotalAvailableMemoryBytes - Environment.WorkingSet;
            return Math.Max(0, OperatingSystem.IsLinux() ? Math.Min(unused, LinuxAvailableBytes()) : unused);
        }
    }

    /// <summary>Size in bytes.</summary>
    public nint Bytes { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Allocates uninitialised memory.</summary>
    /// <exception cref="InsufficientMemoryException">The system has not that much; the message holds the bytes asked.</exception>
    public static HostMemory Allocate(nint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        try
        {
            return new((nint)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, Alignment), Alignment), bytes);
        }
        catch (OutOfMemoryException)
        {
            throw new InsufficientMemoryException($"host memory: asked for {bytes:N0} bytes, the system refused");
        }
    }

    // What the kernel reckons free with the caches that it would drop.
    private static long LinuxAvailableBytes()
    {
        const string Field = "MemAvailable:";
        string? line = File.ReadLines("/proc/meminfo").FirstOrDefault(l => l.StartsWith(Field, StringComparison.Ordinal));
        return line is null ? long.MaxValue : long.Parse(line.AsSpan(Field.Length).Trim().TrimEnd("kB"), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture) * 1024;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        GC.RemoveMemoryPressure(Math.Max(1, Bytes));
        Interlocked.Add(ref _outstanding, -Bytes);
        return true;
    }
}
