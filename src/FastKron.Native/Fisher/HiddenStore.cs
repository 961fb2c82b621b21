using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Reports;

namespace FastKron.Native.Fisher;

/// <summary>Hidden states of all calibration tokens, on the device as far as they fit and in page-locked host memory beyond; copies overlap the
/// operations.</summary>
/// <remarks>States of the host pass through a window of some device buffers: while one is worked on, the next is filled and the last one drained.</remarks>
internal sealed class HiddenStore : IDisposable
{
    private readonly IBackend _backend;
    private readonly IReadOnlyList<MicroBatch> _batches;
    private readonly StageClock<CollectionStage> _clock;
    private readonly int _width, _largest, _residentStates;
    private readonly bool _usesHost;
    private readonly List<HiddenState> _all = [];
    private readonly Stack<HiddenState> _unused = new();
    private readonly List<WindowBuffer> _window = [];
    private readonly Queue<WindowBuffer> _idle = new();

    /// <summary>Creates an empty store; states are allocated when first rented.</summary>
    public HiddenStore(IBackend backend, IReadOnlyList<MicroBatch> batches, int width, FisherPlan plan, StageClock<CollectionStage> clock)
    {
        (_backend, _batches, _width, _clock) = (backend, batches, width, clock);
        (_residentStates, _usesHost) = (plan.ResidentStates, plan.HostStates > 0);
        _largest = batches.Max(b => b.Batch.Tokens);
    }

    /// <summary>Device buffers that a store holds beside its resident states.</summary>
    public static int WindowBuffers(bool usesHost) => usesHost ? 6 : 1;

    /// <summary>A state with undefined contents.</summary>
    public HiddenState Rent()
    {
        if (_unused.TryPop(out HiddenState? state))
            return state;
        bool resident = _all.Count < _residentStates;
        var parts = new Tensor[_batches.Count];
        state = new HiddenState(parts, resident);
        _all.Add(state);
        DType type = _backend.ActivationType;
        for (int i = 0; i < parts.Length; i++)
            parts[i] = resident ? _backend.Allocate(type, _batches[i].Batch.Tokens, _width) : _backend.AllocateHost(type, _batches[i].Batch.Tokens, _width);
        return state;
    }

    /// <summary>Gives a state back.</summary>
    public void Return(HiddenState state) => _unused.Push(state);

    /// <summary>Starts bringing a micro-batch to the device, if it is not there; none is asked for beyond the last.</summary>
    public void Prefetch(HiddenState state, int batch)
    {
        if (state.IsResident || batch >= _batches.Count || state.Ahead[batch] is not null)
            return;
        HiddenView view = Borrow(batch, forCopy: true);
        WindowBuffer buffer = view.Buffer!;
        buffer.Filled = state.Written[batch] is { } written
            ? _backend.StartCopy(state.Parts[batch], view.Tensor, buffer.Free, written)
            : _backend.StartCopy(state.Parts[batch], view.Tensor, buffer.Free);
        state.Ahead[batch] = view;
    }

    /// <summary>A micro-batch of a state on the device; changes reach the state by <see cref="Write"/>.</summary>
    public HiddenView Read(HiddenState state, int batch)
    {
        if (state.IsResident)
            return new HiddenView(state.Parts[batch], null);
        Prefetch(state, batch);
        HiddenView view = state.Ahead[batch]!;
        state.Ahead[batch] = null;
        using (_clock.Enter(CollectionStage.Copies))
            _backend.Await(view.Buffer!.Filled!);
        return view;
    }

    /// <summary>Device memory for a micro-batch of a state that is written without being read: its own, or a buffer.</summary>
    public HiddenView Target(HiddenState state, int batch) => state.IsResident ? new HiddenView(state.Parts[batch], null) : Borrow(batch);

    /// <summary>A buffer with undefined contents for a micro-batch.</summary>
    public HiddenView Borrow(int batch) => Borrow(batch, forCopy: false);

    /// <summary>Puts a micro-batch into a state and lets go of its buffer.</summary>
    public void Write(HiddenView view, HiddenState state, int batch)
    {
        if (state.IsResident)
        {
            if (view.Buffer is not null)
            {
                using (_clock.Enter(CollectionStage.Copies))
                    _backend.Convert(view.Tensor, state.Parts[batch]);
            }
            Release(view);
            return;
        }
        using IFence done = _backend.Mark();
        IFence copied = _backend.StartCopy(view.Tensor, state.Parts[batch], done);
        (state.Written[batch], view.Buffer!.Free) = (copied, copied);
        _idle.Enqueue(view.Buffer);
    }

    /// <summary>Lets go of a view whose contents are not wanted any more.</summary>
    public void Release(HiddenView view)
    {
        if (view.Buffer is not { } buffer)
            return;
        buffer.Free = _backend.Mark();
        _idle.Enqueue(buffer);
    }

    /// <summary>Waits for all work and frees everything.</summary>
    public void Dispose()
    {
        _backend.Synchronize();
        foreach (Tensor part in _all.SelectMany(s => s.Parts))
            part?.Dispose();      // null where an allocation failed half-way
        foreach (WindowBuffer buffer in _window)
            buffer.Memory.Dispose();
    }

    private HiddenView Borrow(int batch, bool forCopy)
    {
        if (_idle.Count == 0 || (_usesHost && _window.Count < WindowBuffers(usesHost: true)))
        {
            Tensor memory = _backend.Allocate(_backend.ActivationType, _largest, _width);
            var added = new WindowBuffer(memory) { Free = _backend.Mark() };
            _window.Add(added);
            _idle.Enqueue(added);
        }
        WindowBuffer buffer = _idle.Dequeue();
        buffer.Filled = null;
        if (!forCopy)
        {
            using (_clock.Enter(CollectionStage.Copies))
                _backend.Await(buffer.Free);
        }
        return new HiddenView(buffer.Memory.SliceRows(0, _batches[batch].Batch.Tokens), buffer);
    }
}
