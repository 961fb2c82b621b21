namespace FastKron.Native.Cli;

/// <summary>Calls back on the reporting thread; <see cref="Progress{T}"/> posts to the thread pool, out of order.</summary>
internal sealed class SynchronousProgress<T>(Action<T> report) : IProgress<T>
{
    /// <inheritdoc/>
    public void Report(T value) => report(value);
}
