using System.Runtime.InteropServices;

namespace FastKron.Native.Cli;

/// <summary>Turns Ctrl-C, or a request to terminate, into a cancellation.</summary>
/// <remarks>
/// Work that reaches its next check in time ends cleanly; after <see cref="Patience"/> the process ends with the same code, and what it did can be resumed all the
/// same. Further signals change nothing: <c>timeout</c> sends one to the process and one to its group, where System.CommandLine's own handler fails on the second.
/// </remarks>
internal sealed class Interruption : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    private readonly int _exitCode;
    private readonly CancellationTokenSource _source = new();
    private readonly Timer _end;
    private readonly PosixSignalRegistration[] _signals;

    /// <summary>Begins to listen.</summary>
    /// <param name="exitCode">What the process ends with when patience does.</param>
    public Interruption(int exitCode)
    {
        _exitCode = exitCode;
        _end = new Timer(_ => Environment.Exit(_exitCode), null, Timeout.Infinite, Timeout.Infinite);
        _signals = [PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal), PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal)];
    }

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>Stops listening.</summary>
    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals)
            signal.Dispose();
        _end.Dispose();
        _source.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;                                   // the system's own answer would be to end at once
        if (_source.IsCancellationRequested)
            return;
        _end.Change(Patience, Timeout.InfiniteTimeSpan);
        _source.Cancel();
    }
}
