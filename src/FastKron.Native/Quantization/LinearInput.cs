using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;

namespace FastKron.Native.Quantization;

/// <summary>What <see cref="LinearQuantizer"/> needs of one matrix.</summary>
/// <param name="Name">Module path.</param>
/// <param name="Matrix">Number of the matrix in the model: chooses its random signs.</param>
/// <param name="Weights">W (m, n) F32, on the backend; not changed; needed until the batch is collected.</param>
/// <param name="Factors">Metric of the errors; null, or null factors in it, for the identity.</param>
public sealed record LinearInput(string Name, uint Matrix, Tensor Weights, KroneckerFactors? Factors);
