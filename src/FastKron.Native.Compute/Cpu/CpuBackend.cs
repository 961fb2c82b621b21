using System.Runtime.Intrinsics;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Every operation on the CPU, on all cores. One file per operation family.</summary>
/// <remarks>Results do not depend on the number of threads: work is split over outputs, never inside a sum.</remarks>
public sealed partial class CpuBackend : IBackend
{
    /// <summary>Elements of an elementwise operation that repay waking other threads, which takes some microseconds.</summary>
    private const int ParallelElements = 1 << 16;

    /// <summary>Creates a backend that uses <paramref name="threads"/> threads; 0 means every processor.</summary>
    public CpuBackend(int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        Threads = threads == 0 ? Environment.ProcessorCount : threads;
    }

    /// <summary>Threads used by one operation, as far as there are processors.</summary>
    public int Threads { get; }

    /// <inheritdoc/>
    public string Name => $"cpu, {Threads} threads, {InstructionSet}";

    /// <inheritdoc/>
    public string Kind => $"cpu {InstructionSet}";

    /// <inheritdoc/>
    public DType ActivationType => DType.F32;

    /// <inheritdoc/>
    public bool IsHost => true;

    /// <inheritdoc/>
    public long AvailableBytes => HostMemory.AvailableBytes;

    /// <inheritdoc/>
    public int BatchTokens => 2048;

    private static string InstructionSet =>
        Vector512.IsHardwareAccelerated ? "AVX-512" : Vector256.IsHardwareAccelerated ? "AVX2" : Vector128.IsHardwareAccelerated ? "128-bit SIMD" : "scalar";

    /// <inheritdoc/>
    public void Synchronize()
    {
        // Operations of this backend finish before they return.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Nothing is held between operations.
    }

    /// <summary>Runs <paramref name="body"/> for 0 … count−1 on all threads; inline when there is one item or one thread.</summary>
    internal void For(int count, Action<int> body) => WorkerThreads.For(Threads, count, body);

    /// <summary>Like <see cref="For(int, Action{int})"/>, but inline when there are too few elements to repay waking other threads.</summary>
    internal void For(long elements, int count, Action<int> body)
    {
        if (elements >= ParallelElements)
        {
            For(count, body);
            return;
        }
        for (int i = 0; i < count; i++)
            body(i);
    }
}
