using static FastKron.Native.Cuda.SolverApi;

namespace FastKron.Native.Cuda;

/// <summary>A cuSOLVER handle on one stream; column-major. Workspace and device status are the caller's.</summary>
public sealed class CudaSolveDense : IDisposable
{
    private readonly CudaHandle _handle;

    /// <summary>Creates a handle in the current context.</summary>
    public CudaSolveDense(CudaStream stream)
    {
        Check(cusolverDnCreate(out nint handle));
        _handle = new CudaHandle(handle, static h => _ = cusolverDnDestroy(h));
        Check(cusolverDnSetStream(handle, stream.Stream));
    }

    /// <summary>Elements of workspace that <see cref="Potrf"/> needs.</summary>
    /// <param name="wide">float64, else float32.</param>
    /// <param name="fill">Triangle that holds the matrix.</param>
    /// <param name="n">Order.</param>
    /// <param name="a">Matrix.</param>
    /// <param name="lda">Leading dimension.</param>
    public int PotrfBufferSize(bool wide, FillMode fill, int n, nint a, int lda)
    {
        int elements;
        Check(wide ? cusolverDnDpotrf_bufferSize(_handle.Value, fill, n, a, lda, out elements) : cusolverDnSpotrf_bufferSize(_handle.Value, fill, n, a, lda, out elements));
        return elements;
    }

    /// <summary>Cholesky factorisation in place; the int at <paramref name="info"/> becomes 0 or the 1-based index of the pivot that failed.</summary>
    /// <param name="wide">float64, else float32.</param>
    /// <param name="fill">Triangle that holds the matrix and receives the factor.</param>
    /// <param name="n">Order.</param>
    /// <param name="a">Matrix.</param>
    /// <param name="lda">Leading dimension.</param>
    /// <param name="workspace">Device memory.</param>
    /// <param name="elements">Its size in elements.</param>
    /// <param name="info">Device int.</param>
    public void Potrf(bool wide, FillMode fill, int n, nint a, int lda, nint workspace, int elements, nint info)
        => Check(wide ? cusolverDnDpotrf(_handle.Value, fill, n, a, lda, workspace, elements, info) : cusolverDnSpotrf(_handle.Value, fill, n, a, lda, workspace, elements, info));

    /// <summary>Destroys the handle.</summary>
    public void Dispose() => _handle.Dispose();
}
