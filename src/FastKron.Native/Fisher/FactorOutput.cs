using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Fisher;

/// <summary>Brings fitted factors to the host and hands them out on a thread of its own, so that writing them overlaps the fitting of others.</summary>
/// <remarks>Two lanes of page-locked memory: one is written from while the other fills. Factors are handed out in the order they came.</remarks>
internal sealed class FactorOutput : IDisposable
{
    private const int Lanes = 2;

    private readonly IBackend _backend;
    private readonly Action<KroneckerFactors> _accept;
    private readonly BlockingCollection<Tensor> _lanes = [];
    private readonly BlockingCollection<(KroneckerFactors Factors, IFence Arrived, Tensor Lane)> _arriving = [];
    private readonly List<Tensor> _memory = [];
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Allocates lanes for the largest linear of a model and starts the thread.</summary>
    public FactorOutput(IBackend backend, ModelConfig config, Action<KroneckerFactors> accept)
    {
        (_backend, _accept) = (backend, accept);
        try
        {
            for (int lane = 0; lane < Lanes; lane++)
            {
                _memory.Add(backend.AllocateHost(DType.F32, 1, checked((int)LaneElements(config))));
                _lanes.Add(_memory[lane]);
            }
        }
        catch
        {
            FreeLanes();
            throw;
        }
        _thread = new Thread(HandOut) { IsBackground = true, Name = "factor output" };
        _thread.Start();
    }

    /// <summary>Bytes of the lanes.</summary>
    public static long Bytes(ModelConfig config) => Lanes * LaneElements(config) * sizeof(float);

    /// <summary>Takes over factors; waits only while both lanes are full.</summary>
    /// <param name="name">Module path.</param>
    /// <param name="hOut">(m, m) F32; null for the identity.</param>
    /// <param name="hIn">(n, n) F32; null for the identity.</param>
    /// <param name="evidence">Goes with them.</param>
    /// <remarks>The tensors may be freed or changed behind this call in the backend's order.</remarks>
    public void Add(string name, Tensor? hOut, Tensor? hIn, FactorEvidence evidence)
    {
        Tensor lane = _lanes.Take();
        _failure?.Throw();
        IFence? arrived = null;
        int used = 0;
        Tensor? hostOut = Copy(hOut), hostIn = Copy(hIn);
        _backend.Await(arrived!);
        _arriving.Add((new KroneckerFactors(name, hostOut, hostIn, evidence), arrived!, lane));

        Tensor? Copy(Tensor? factor)
        {
            if (factor is null)
                return null;
            Tensor host = lane.SliceColumns(used, checked((int)factor.Length)).Reshape(factor.Rows, factor.Columns);
            using IFence ready = _backend.Mark();
            arrived?.Dispose();
            arrived = _backend.StartCopy(factor, host, ready);
            used += (int)factor.Length;
            return host;
        }
    }

    /// <summary>Waits until everything was handed out; throws what handing out threw.</summary>
    public void Complete()
    {
        Stop();
        _failure?.Throw();
    }

    /// <summary>Stops the thread and frees the lanes.</summary>
    public void Dispose()
    {
        Stop();
        FreeLanes();
        _lanes.Dispose();
        _arriving.Dispose();
    }

    private static long LaneElements(ModelConfig config) =>
        BlockLinears.All.Select(l => l.Shape(config)).Max(s => (long)s.Outputs * s.Outputs + (long)s.Inputs * s.Inputs);

    private void HandOut()
    {
        foreach ((KroneckerFactors factors, IFence arrived, Tensor lane) in _arriving.GetConsumingEnumerable())
        {
            try
            {
                arrived.Wait();
                if (_failure is null)
                    _accept(factors);
            }
            catch (Exception e)
            {
                // Rethrown on the collecting thread by the next call.
                _failure = ExceptionDispatchInfo.Capture(e);
            }
            finally
            {
                arrived.Dispose();
                _lanes.Add(lane);
            }
        }
    }

    private void Stop()
    {
        if (!_arriving.IsAddingCompleted)
            _arriving.CompleteAdding();
        _thread.Join();
    }

    private void FreeLanes()
    {
        foreach (Tensor lane in _memory)
            lane.Dispose();
    }
}
