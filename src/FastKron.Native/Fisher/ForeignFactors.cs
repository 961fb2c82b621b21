using System.Globalization;
using System.Runtime.InteropServices;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace FastKron.Native.Fisher;

/// <summary>Reads factor files of the published programs.</summary>
/// <remarks>
/// They store factors as the iteration leaves them; here each is divided by its own mean diagonal, as the published quantizers do first, which also
/// turns both singular vectors of FastKron's Lanczos solver back where both are negative. Source: hessians-and-rounding.md sections 2 and 3.
/// </remarks>
internal static class ForeignFactors
{
    private const string Left = "XF", Right = "YF", Singular = "s";

    /// <summary>Reads FastKron's file: <c>XF</c> (m, m) = hOut with σ₁ in it, <c>YF</c> (n, n) = hIn, F32; <c>s</c>, where it is there, holds σ₁ and σ₂.</summary>
    /// <remarks>The files are not symmetrised; half the sum with the transpose is taken, which is all that a quadratic form sees.</remarks>
    /// <exception cref="InvalidDataException">Missing or of another type or shape, not finite, or without a positive diagonal.</exception>
    public static KroneckerFactors ReadPublished(string path, string module, int outputs, int inputs)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        (Tensor hOut, double outScale) = ReadDense(file, Left, outputs);
        try
        {
            (Tensor hIn, double inScale) = ReadDense(file, Right, inputs);
            float[] sigma = ReadSingularValues(file);
            return new KroneckerFactors(module, hOut, hIn, new FactorEvidence
            {
                Source = "fastkron",
                Solver = "lanczos",
                Scale = outScale * inScale,
                Sigma1 = sigma.Length > 0 ? sigma[0] : null,
                SigmaRatio = sigma.Length > 1 && sigma[0] != 0 ? sigma[1] / sigma[0] : null,
            });
        }
        catch
        {
            hOut.Dispose();
            throw;
        }
    }

    /// <summary>Reads YAQA's files, each one packed triangle as a torch tensor.</summary>
    /// <param name="outputPath"><c>{i}_{name}_hout.pt</c>; null for the identity.</param>
    /// <param name="inputPath"><c>{i}_{name}_hin.pt</c>; null for the identity.</param>
    /// <param name="module">Module path.</param>
    /// <param name="outputs">m.</param>
    /// <param name="inputs">n.</param>
    /// <exception cref="InvalidDataException">No such files, of another shape, not finite, or without a positive diagonal.</exception>
    public static KroneckerFactors ReadSketch(string? outputPath, string? inputPath, string module, int outputs, int inputs)
    {
        (Tensor? hOut, double outScale) = ReadTriangle(outputPath, outputs);
        try
        {
            (Tensor? hIn, double inScale) = ReadTriangle(inputPath, inputs);
            return new KroneckerFactors(module, hOut, hIn, new FactorEvidence { Source = "sketch", Scale = outScale * inScale });
        }
        catch
        {
            hOut?.Dispose();
            throw;
        }
    }

    private static (Tensor? Matrix, double Scale) ReadTriangle(string? path, int size)
    {
        if (path is null)
            return (null, 1);
        using TorchTensorFile file = TorchTensorFile.Open(path);
        if (file.Shape is not [var length] || length != PackedTriangle.Length(size))
        {
            throw MalformedFile.In(
                file.Path, "tensor", SafetensorsTensor.Describe(file.Shape), $"({PackedTriangle.Length(size)}), the triangle of ({size}, {size})", "the factors are of another model");
        }
        using var values = new BufferedStream(file.OpenValues(), 1 << 20);
        (Tensor matrix, double mean) = PackedTriangle.Read(values, size, file.Path, "tensor");
        return (matrix, Normalise(matrix, mean, file.Path, "tensor"));
    }

    private static unsafe (Tensor Matrix, double Scale) ReadDense(SafetensorsFile file, string name, int size)
    {
        SafetensorsTensor stored = file.Tensor(name);
        if (stored.Type != SafetensorsType.F32 || !stored.Shape.SequenceEqual([(long)size, size]))
        {
            throw MalformedFile.In(
                file.Path, name, $"{stored.Type} {SafetensorsTensor.Describe(stored.Shape)}", $"F32 ({size}, {size})", "the factors are of another model, or no factors");
        }
        Tensor matrix = Tensor.AllocateHost(DType.F32, size, size);
        try
        {
            float* values = (float*)file.Address(name);
            double trace = 0;
            for (int i = 0; i < size; i++)
            {
                Span<float> row = matrix.Row<float>(i);
                for (int j = 0; j <= i; j++)
                {
                    float half = values[(long)i * size + j] / 2 + values[(long)j * size + i] / 2;
                    PackedTriangle.RequireFinite(half, file.Path, name, i, j);
                    row[j] = matrix.Row<float>(j)[i] = half;
                }
                trace += row[i];
            }
            return (matrix, Normalise(matrix, trace / size, file.Path, name));
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
    }

    // σ₁ and σ₂; none where the file does not have them.
    private static float[] ReadSingularValues(SafetensorsFile file)
    {
        if (!file.Contains(Singular))
            return [];
        SafetensorsTensor stored = file.Tensor(Singular);
        return stored.Type == SafetensorsType.F32 && stored.Shape is [<= 16]
            ? MemoryMarshal.Cast<byte, float>(file.Bytes(Singular)).ToArray()
            : throw MalformedFile.In(file.Path, Singular, $"{stored.Type} {SafetensorsTensor.Describe(stored.Shape)}", "F32 with the singular values", "these are no factors");
    }

    private static double Normalise(Tensor matrix, double mean, string path, string name)
    {
        if (mean == 0 || !double.IsFinite(mean) || !double.IsFinite(1 / mean))
        {
            matrix.Dispose();
            throw MalformedFile.In(
                path, name, string.Create(CultureInfo.InvariantCulture, $"mean diagonal {mean}"), "another number than 0", "the factors were not fitted: make them again");
        }
        for (int i = 0; i < matrix.Rows; i++)
            TensorPrimitives.Divide(matrix.Row<float>(i), (float)mean, matrix.Row<float>(i));
        return mean;
    }
}
