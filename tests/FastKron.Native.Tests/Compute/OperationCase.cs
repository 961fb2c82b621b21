using FastKron.Native.Compute;

namespace FastKron.Native.Tests.Compute;

/// <summary>One operation at one shape: listed once, used for agreement with Reference on every backend and for speed.</summary>
/// <param name="Family">Family of architecture.md section 2: matrix, transformer, …</param>
/// <param name="Name">Operation and shape, for example <c>MatMul NT 33x65x17 bf16</c>.</param>
/// <param name="Tolerance">Largest accepted <see cref="OperationRun.Error"/>; the reason stands where the case is listed.</param>
/// <param name="Prepare">Allocates inputs on a backend.</param>
internal sealed record OperationCase(string Family, string Name, double Tolerance, Func<IBackend, OperationRun> Prepare)
{
    /// <summary>Whether the case is for devices alone: types that the CPU does not take, or alignments that mean nothing to it.</summary>
    public bool DeviceOnly { get; init; }

    public override string ToString() => $"{Family}: {Name}";
}

/// <summary>A prepared case.</summary>
/// <param name="Execute">Runs the operation once; may be called many times.</param>
/// <param name="Error">Largest difference of the outputs from Reference, relative to the root mean square of the expected output.</param>
/// <param name="Flops">Floating-point operations of one execution.</param>
/// <param name="Bytes">Bytes that must be read and written.</param>
/// <param name="Release">Frees the inputs and outputs.</param>
internal sealed record OperationRun(Action Execute, Func<double> Error, double Flops, double Bytes, Action Release);
