using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Inputs and output gradients of one linear for all calibration tokens, kept in the activation type.</summary>
internal sealed class KeptTokens : IDisposable
{
    private readonly IBackend _backend;

    /// <summary>Allocates room for <paramref name="tokens"/> tokens.</summary>
    public KeptTokens(IBackend backend, int outputs, int inputs, long tokens)
    {
        _backend = backend;
        X = backend.Allocate(backend.ActivationType, checked((int)tokens), inputs);
        try
        {
            D = backend.Allocate(backend.ActivationType, (int)tokens, outputs);
        }
        catch
        {
            X.Dispose();
            throw;
        }
    }

    /// <summary>(T, n).</summary>
    public Tensor X { get; }

    /// <summary>(T, m).</summary>
    public Tensor D { get; }

    /// <summary>First token and length of every sequence so far.</summary>
    public List<(int Start, int Length)> Sequences { get; } = [];

    /// <summary>Adds a micro-batch.</summary>
    public void Append(MicroBatch batch, Tensor x, Tensor d)
    {
        int first = checked((int)batch.FirstToken);
        _backend.Convert(x, X.SliceRows(first, x.Rows));
        _backend.Convert(d, D.SliceRows(first, d.Rows));
        Sequences.AddRange(batch.Batch.Layout.Sequences.Select(s => (first + s.QueryStart, s.QueryCount)));
    }

    /// <summary>Frees both.</summary>
    public void Dispose()
    {
        X.Dispose();
        D.Dispose();
    }
}
