using System.Diagnostics.CodeAnalysis;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>The Fisher matrix of one linear as its Kraus operators G_k (m, n): F = (1/K) Σ vec(G_k) vec(G_k)ᵀ, never formed.</summary>
/// <remarks>
/// Solvers see only this: the rearranged operator R (m², n²) with R·vec(V) = vec((1/K) Σ G_k V G_kᵀ) and Rᵀ·vec(U) = vec((1/K) Σ G_kᵀ U
/// G_k), after C. Van Loan and N. Pitsianis, "Approximation with Kronecker products" (1993). The operators may be minibatch gradients
/// (FastKron), per-sequence gradients or per-token outer products.
/// </remarks>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of operators; no System.IO.Stream")]
public interface IKrausStream
{
    /// <summary>What runs the products.</summary>
    IBackend Backend { get; }

    /// <summary>Module path of the linear, for messages.</summary>
    string Name { get; }

    /// <summary>What the operators are, as in <see cref="FactorEvidence.Source"/>.</summary>
    string Source { get; }

    /// <summary>m, rows of each operator.</summary>
    int Outputs { get; }

    /// <summary>n, columns of each operator.</summary>
    int Inputs { get; }

    /// <summary>K.</summary>
    int Operators { get; }

    /// <summary>Type of the factors: F32, or F64 where the operators are F64.</summary>
    DType Type { get; }

    /// <summary>Calls of <see cref="Apply"/> and <see cref="Gram"/> so far.</summary>
    int HalfSteps { get; }

    /// <summary>Rows: result ← (1/K) Σ G_k V G_kᵀ; columns: result ← (1/K) Σ G_kᵀ V G_k. Exactly symmetric.</summary>
    /// <param name="side">Which factor is produced.</param>
    /// <param name="v">Symmetric, <see cref="Type"/>; (n, n) for rows, (m, m) for columns. Need not be positive.</param>
    /// <param name="result">(m, m) for rows, (n, n) for columns. Overwritten.</param>
    void Apply(KroneckerSide side, Tensor v, Tensor result);

    /// <summary>The same for V = rootᵀ root: a triangular product and a symmetric rank update; positive semidefinite by construction.</summary>
    /// <param name="side">Which factor is produced.</param>
    /// <param name="root">Lower triangular, <see cref="Type"/>; null for the identity.</param>
    /// <param name="result">As in <see cref="Apply"/>.</param>
    void Gram(KroneckerSide side, Tensor? root, Tensor result);

    /// <summary>‖F‖_F = ‖R‖_F = (1/K) √(Σ_kl ⟨G_k, G_l⟩²).</summary>
    /// <remarks>Null where it would take more work than fitting the factors.</remarks>
    double? FisherNorm();
}
