using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>One factor during a Gauss–Seidel iteration: its normalised value, the buffer of the next one, and how much each step changed
/// it.</summary>
internal sealed class FactorIterate : IDisposable
{
    private readonly IBackend _backend;
    private readonly List<double> _changes = [];

    /// <summary>Starts from value·I.</summary>
    public FactorIterate(IBackend backend, DType type, int size, double value)
    {
        _backend = backend;
        Value = backend.Allocate(type, size, size);
        Next = backend.Allocate(type, size, size);
        backend.FillIdentity(Value, value);
    }

    /// <summary>Current value.</summary>
    public Tensor Value { get; private set; }

    /// <summary>Where the stream writes the next value.</summary>
    public Tensor Next { get; private set; }

    /// <summary>‖new − old‖_F / ‖new‖_F of every step; the first is the change from the identity.</summary>
    public IReadOnlyList<double> Changes => _changes;

    /// <summary>Divides <see cref="Next"/> by <paramref name="divisor"/> and makes it the value; returns its Frobenius norm.</summary>
    public double Accept(double divisor)
    {
        _backend.Scale(1 / divisor, Next);
        _backend.Axpy(-1, Next, Value);
        double norm = _backend.Norm(Next);
        _changes.Add(_backend.Norm(Value) / norm);
        (Value, Next) = (Next, Value);
        return norm;
    }

    /// <summary>Hands <see cref="Value"/> to the caller, who disposes it.</summary>
    public Tensor Release()
    {
        Tensor value = Value;
        Value = Next;
        return value;
    }

    /// <summary>Frees what was not released.</summary>
    public void Dispose()
    {
        Value.Dispose();
        Next.Dispose();
    }
}
