using FastKron.Native.Compute;

namespace FastKron.Native.Reports;

/// <summary>Seconds of the device by stage, from fences between the operations: nothing waits for the clock.</summary>
/// <param name="backend">Whose operations are timed.</param>
/// <typeparam name="TStage">The stages; the last one counts what is in none.</typeparam>
public sealed class StageClock<TStage>(IBackend backend) : IDisposable
    where TStage : struct, Enum
{
    private readonly Dictionary<TStage, double> _seconds = Enum.GetValues<TStage>().ToDictionary(stage => stage, _ => 0.0);
    private readonly Queue<(TStage Stage, IFence End)> _open = new();
    private readonly Stack<TStage> _stages = new([Enum.GetValues<TStage>()[^1]]);
    private IFence _last = backend.Mark();

    /// <summary>Counts operations enqueued from now on for a stage, until the result is disposed.</summary>
    /// <param name="stage">Ends the one before it while it lasts.</param>
    public Scope Enter(TStage stage)
    {
        Cut();
        _stages.Push(stage);
        return new Scope(this);
    }

    /// <summary>Seconds of every stage so far; waits.</summary>
    public IReadOnlyDictionary<TStage, double> Read()
    {
        Cut();
        while (_open.Count > 0)
            Count();
        return _seconds.ToDictionary();
    }

    /// <summary>Frees the fences.</summary>
    public void Dispose()
    {
        foreach ((_, IFence end) in _open)
            end.Dispose();
        _last.Dispose();
    }

    private void Leave()
    {
        Cut();
        _stages.Pop();
    }

    private void Cut()
    {
        _open.Enqueue((_stages.Peek(), backend.Mark()));
        while (_open.TryPeek(out var first) && first.End.IsPassed)
            Count();
    }

    private void Count()
    {
        (TStage stage, IFence end) = _open.Dequeue();
        _seconds[stage] += end.SecondsSince(_last);
        _last.Dispose();
        _last = end;
    }

    /// <summary>Ends a stage on disposal; the one around it goes on.</summary>
    /// <param name="clock">Null for none.</param>
    public readonly ref struct Scope(StageClock<TStage>? clock)
    {
        /// <summary>Ends the stage.</summary>
        public void Dispose() => clock?.Leave();
    }
}
