using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Small compositions of backend operations that the solvers share.</summary>
internal static class SymmetricMatrix
{
    /// <summary>‖a‖_F.</summary>
    public static double Norm(this IBackend backend, Tensor a) => Math.Sqrt(backend.Dot(a, a));

    /// <summary>tr(a)/n of a square F32 or F64 matrix.</summary>
    public static double MeanDiagonal(this IBackend backend, Tensor a)
    {
        using Tensor ones = backend.Allocate(a.Type, a.Rows, 1);
        backend.Fill(ones, 1);
        return backend.Dot(a.Diagonal(), ones) / a.Rows;
    }

    /// <summary>a ← a + value·I.</summary>
    public static void AddToDiagonal(this IBackend backend, Tensor a, double value)
    {
        using Tensor ones = backend.Allocate(a.Type, a.Rows, 1);
        backend.Fill(ones, 1);
        backend.Axpy(value, ones, a.Diagonal());
    }

    /// <summary>a ← value·I.</summary>
    public static void FillIdentity(this IBackend backend, Tensor a, double value = 1)
    {
        backend.Fill(a, 0);
        backend.Fill(a.Diagonal(), value);
    }
}
