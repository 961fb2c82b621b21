using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Generation;

/// <summary>Keys and values of the tokens seen so far, for every block of a model and several sequences in lockstep: all have the same length.</summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly IBackend _backend;
    private readonly int _columns;                      // key heads · head dimension
    private readonly Tensor[] _keys, _values;           // a block each: (sequences, capacity · columns), so that one copy appends to all sequences

    /// <summary>Reserves 2 · layers · sequences · capacity · (key heads · head dimension) elements of the activation type.</summary>
    /// <param name="model">Shapes and backend.</param>
    /// <param name="sequences">Sequences in lockstep.</param>
    /// <param name="capacity">Tokens of a sequence that fit, at most the model's context.</param>
    public KeyValueCache(DecoderModel model, int sequences, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sequences, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, model.Config.MaxPositions);
        (_backend, Sequences, Capacity, _columns) = (model.Backend, sequences, capacity, model.Config.KeyHeads * model.Config.HeadDimension);
        _keys = [.. Enumerable.Range(0, model.Config.Layers).Select(_ => Allocate())];
        _values = [.. Enumerable.Range(0, model.Config.Layers).Select(_ => Allocate())];
    }

    /// <summary>Sequences in lockstep.</summary>
    public int Sequences { get; }

    /// <summary>Tokens of a sequence that fit.</summary>
    public int Capacity { get; }

    /// <summary>Tokens of every sequence seen so far.</summary>
    public int Length { get; private set; }

    /// <summary>Forgets all tokens.</summary>
    public void Clear() => Length = 0;

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in _keys.Concat(_values))
            tensor.Dispose();
    }

    /// <summary>Stores a block's keys and values of the next tokens, (sequences · n, columns), without advancing <see cref="Length"/>.</summary>
    /// <returns>All keys and values of the block, (sequences · capacity, columns): the rows that <see cref="PackedBatch.Continue"/> lays out.</returns>
    internal (Tensor Keys, Tensor Values) Append(int block, Tensor keys, Tensor values) => (Append(_keys[block], keys), Append(_values[block], values));

    /// <summary>Counts tokens whose keys and values every block has stored.</summary>
    internal void Advance(int tokens) => Length += tokens;

    private Tensor Append(Tensor all, Tensor rows)
    {
        int added = rows.Rows / Sequences * _columns;
        _backend.Convert(rows.Reshape(Sequences, added), all.SliceColumns(Length * _columns, added));
        return all.Reshape(Sequences * Capacity, _columns);
    }

    private Tensor Allocate() => _backend.Allocate(_backend.ActivationType, Sequences, checked(Capacity * _columns));
}
