namespace FastKron.Native.Compute;

/// <summary>A moment on a backend's own clock: when the work enqueued before <see cref="IBackend.Mark"/> was done.</summary>
public abstract class TimeMark : IDisposable
{
    /// <summary>Seconds from an earlier mark of the same backend to this one; waits until this one is reached.</summary>
    public abstract double SecondsSince(TimeMark earlier);

    /// <summary>Frees what marks the moment.</summary>
    public abstract void Dispose();
}
