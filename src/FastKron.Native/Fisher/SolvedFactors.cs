using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>What a solver leaves on its backend.</summary>
/// <param name="HOut">A (m, m), symmetric, mean diagonal 1.</param>
/// <param name="HIn">B (n, n), symmetric, mean diagonal 1.</param>
/// <param name="Evidence">Everything but tokens and labels, which the solver does not know.</param>
public sealed record SolvedFactors(Tensor HOut, Tensor HIn, FactorEvidence Evidence) : IDisposable
{
    /// <summary>Copies both to the host in F32.</summary>
    public KroneckerFactors ToHost(IBackend backend, string name) => new(name, ToHost(backend, HOut), ToHost(backend, HIn), Evidence);

    /// <summary>Frees both factors.</summary>
    public void Dispose()
    {
        HOut.Dispose();
        HIn.Dispose();
    }

    /// <summary>Copies a matrix to the host in F32.</summary>
    internal static Tensor ToHost(IBackend backend, Tensor matrix)
    {
        Tensor host = Tensor.AllocateHost(DType.F32, matrix.Rows, matrix.Columns);
        using Tensor single = backend.Allocate(DType.F32, matrix.Rows, matrix.Columns);
        backend.Convert(matrix, single);
        backend.Download(single, host.AsSpan<float>());
        return host;
    }
}
