using FastKron.Native.Compute;

namespace FastKron.Native.Fisher;

/// <summary>What a collection spends time on.</summary>
public enum CollectionStage
{
    /// <summary>Blocks, for the first time.</summary>
    Forward,

    /// <summary>Logits, labels and the gradient of the last hidden state.</summary>
    Head,

    /// <summary>Blocks once more, for inputs that were not kept.</summary>
    Recomputation,

    /// <summary>Backward through blocks, with what a block computes again for it, without the gradients of weights.</summary>
    Backward,

    /// <summary>Gradients of weights, or what else is kept of a linear's inputs and output gradients.</summary>
    Stack,

    /// <summary>Fitting factors.</summary>
    Solve,

    /// <summary>Copies of hidden states, as far as operations wait for them.</summary>
    Copies,

    /// <summary>What the other stages are not: the device is idle, or memory is allocated.</summary>
    Other,
}

/// <summary>Seconds of the device by stage, from fences between the operations: nothing waits for the clock.</summary>
internal sealed class StageClock(IBackend backend) : IDisposable
{
    private readonly double[] _seconds = new double[Enum.GetValues<CollectionStage>().Length];
    private readonly Queue<(CollectionStage Stage, IFence End)> _open = new();
    private readonly Stack<CollectionStage> _stages = new([CollectionStage.Other]);
    private IFence _last = backend.Mark();

    /// <summary>Counts operations enqueued from now on for a stage, until the result is disposed.</summary>
    public Scope Enter(CollectionStage stage)
    {
        Cut();
        _stages.Push(stage);
        return new Scope(this);
    }

    /// <summary>Seconds of every stage so far; waits.</summary>
    public IReadOnlyDictionary<CollectionStage, double> Read()
    {
        Cut();
        while (_open.Count > 0)
            Count();
        return Enum.GetValues<CollectionStage>().ToDictionary(stage => stage, stage => _seconds[(int)stage]);
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
        (CollectionStage stage, IFence end) = _open.Dequeue();
        _seconds[(int)stage] += end.SecondsSince(_last);
        _last.Dispose();
        _last = end;
    }

    /// <summary>Ends a stage on disposal; the one around it goes on.</summary>
    public readonly ref struct Scope(StageClock clock)
    {
        /// <summary>Ends the stage.</summary>
        public void Dispose() => clock.Leave();
    }
}
