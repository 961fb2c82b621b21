using System.Runtime.Intrinsics;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Every operation on the CPU, on all cores. One file per operation family.</summary>
/// <remarks>Results do not depend on the number of threads: work is split over outputs, never inside a sum.</remarks>
public sealed partial class CpuBackend : IBackend
{
    /// <summary>Elements of an elementwise operation that repay waking other threads, which takes some microseconds.</summary>
    private const int ParallelElements = 1 << 16;

    private readonly ParallelOptions _parallel;

    /// <summary>Creates a backend that uses <paramref name="threads"/> threads; 0 means every processor.</summary>
    public CpuBackend(int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        Threads = threads == 0 ? Environment.ProcessorCount : threads;
        _parallel = new ParallelOptions { MaxDegreeOfParallelism = Threads };
    }

    /// <summary>Threads used by one operation.</summary>
    public int Threads { get; }

    /// <inheritdoc/>
    public string Name => $"cpu, {Threads} threads, {InstructionSet}";

    /// <inheritdoc/>
    public string Kind => $"cpu {InstructionSet}";

    /// <inheritdoc/>
    public DType ActivationType => DType.F32;

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
    internal void For(int count, Action<int> body)
    {
        if (count > 1 && Threads > 1)
        {
            // Every thread takes the next item when it is free: Parallel.For alone hands out ever larger ranges, too coarse for a few long items.
            int next = -1;
            Parallel.For(0, Math.Min(count, Threads), _parallel, _ =>
            {
                for (int i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
                    body(i);
            });
            return;
        }
        for (int i = 0; i < count; i++)
            body(i);
    }

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
