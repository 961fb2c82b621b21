using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace FastKron.Native.Compute.Cpu;

/// <summary>The threads that run the parallel parts of operations: one less than processors, shared by all backends, started when first needed.</summary>
/// <remarks>
/// An idle thread looks for work for a moment before it sleeps, because operations follow each other within microseconds and waking a sleeping
/// thread takes longer than many of them. The calling thread works too. A call from within a body, or while another thread's call runs, is run
/// by its caller alone: the processors are busy then.
/// </remarks>
internal static class WorkerThreads
{
    /// <summary>How long an idle thread looks for work.</summary>
    private static readonly long SearchTicks = Stopwatch.Frequency / 10_000;

    private static readonly Lock StartGate = new();
    private static readonly object SleepGate = new();

    private static bool _started;
    private static int _busy;
    private static int _sleeping;
    private static int _generation;
    private static Job? _job;

    /// <summary>Runs <paramref name="body"/> for 0 … count−1, each item by the next free thread, and returns when all are done.</summary>
    /// <param name="threads">Threads to use at most, the caller among them.</param>
    /// <param name="count">Items.</param>
    /// <param name="body">Called once for each item; its first exception is thrown on when the other threads have stopped.</param>
    public static void For(int threads, int count, Action<int> body)
    {
        if (threads <= 1 || count <= 1 || Interlocked.CompareExchange(ref _busy, 1, 0) != 0)
        {
            for (int i = 0; i < count; i++)
                body(i);
            return;
        }
        try
        {
            Start();
            var job = new Job(count, body, Math.Min(threads, count) - 1);
            Volatile.Write(ref _job, job);
            Interlocked.Increment(ref _generation);
            if (Volatile.Read(ref _sleeping) > 0)
            {
                lock (SleepGate)
                    Monitor.PulseAll(SleepGate);
            }
            job.Work();
            job.Wait();
        }
        finally
        {
            Volatile.Write(ref _job, null);
            Volatile.Write(ref _busy, 0);
        }
    }

    private static void Start()
    {
        if (Volatile.Read(ref _started))
            return;
        lock (StartGate)
        {
            for (int i = 1; i < Environment.ProcessorCount && !_started; i++)
                new Thread(Serve) { IsBackground = true, Name = $"FastKron worker {i}" }.Start();
            Volatile.Write(ref _started, true);
        }
    }

    private static void Serve()
    {
        for (int seen = 0; ;)
        {
            long start = Stopwatch.GetTimestamp();
            while (Volatile.Read(ref _generation) == seen && Stopwatch.GetTimestamp() - start < SearchTicks)
                Thread.SpinWait(8);
            if (Volatile.Read(ref _generation) == seen)
            {
                lock (SleepGate)
                {
                    // Announced before the generation is read again: a caller that misses the one has already changed the other.
                    Interlocked.Increment(ref _sleeping);
                    while (Volatile.Read(ref _generation) == seen)
                        Monitor.Wait(SleepGate);
                    Interlocked.Decrement(ref _sleeping);
                }
            }
            seen = Volatile.Read(ref _generation);
            if (Volatile.Read(ref _job) is { } job && job.Join())
                job.Work();
        }
    }

    /// <summary>One call: a thread that comes late finds no items left.</summary>
    private sealed class Job(int count, Action<int> body, int helpers)
    {
        private int _next;
        private int _done;
        private int _helpers = helpers;
        private ExceptionDispatchInfo? _exception;

        /// <summary>Whether one more thread may help.</summary>
        public bool Join() => Interlocked.Decrement(ref _helpers) >= 0;

        /// <summary>Takes items until none is left.</summary>
        public void Work()
        {
            for (int i = Interlocked.Increment(ref _next) - 1; i < count; i = Interlocked.Increment(ref _next) - 1)
            {
                try
                {
                    if (Volatile.Read(ref _exception) is null)
                        body(i);
                }
                catch (Exception exception)
                {
                    Interlocked.CompareExchange(ref _exception, ExceptionDispatchInfo.Capture(exception), null);
                }
                Interlocked.Increment(ref _done);
            }
        }

        /// <summary>Waits for the items that other threads have taken, and throws on what a body threw.</summary>
        public void Wait()
        {
            var spinner = new SpinWait();
            while (Volatile.Read(ref _done) < count)
                spinner.SpinOnce(sleep1Threshold: -1);
            _exception?.Throw();
        }
    }
}
