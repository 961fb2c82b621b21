namespace FastKron.Native.Cuda;

/// <summary>op(X) of a BLAS call; values of cublas_api.h.</summary>
public enum Operation
{
    /// <summary>X.</summary>
    NonTranspose = 0,

    /// <summary>Xᵀ.</summary>
    Transpose = 1,
}

/// <summary>Which triangle of a symmetric or triangular matrix is used.</summary>
public enum FillMode
{
    /// <summary>Lower.</summary>
    Lower = 0,

    /// <summary>Upper.</summary>
    Upper = 1,
}

/// <summary>On which side a triangular matrix stands.</summary>
public enum SideMode
{
    /// <summary>Left.</summary>
    Left = 0,

    /// <summary>Right.</summary>
    Right = 1,
}

/// <summary>Whether a triangular matrix has a unit diagonal.</summary>
public enum DiagType
{
    /// <summary>Stored.</summary>
    NonUnit = 0,

    /// <summary>All ones, not read.</summary>
    Unit = 1,
}

/// <summary>Arithmetic of a product; values of cublasComputeType_t.</summary>
public enum ComputeType
{
    /// <summary>float32 sums.</summary>
    Compute32F = 68,

    /// <summary>float64.</summary>
    Compute64F = 70,
}

/// <summary>What a product may do to its sums; values of cublasMath_t.</summary>
public enum MathMode
{
    /// <summary>float32 stays float32; sums that are split may be rounded to the type of the result before they are added.</summary>
    Default = 0,

    /// <summary>Sums stay in the compute type until the end.</summary>
    DisallowReducedPrecisionReduction = 16,
}

/// <summary>Element types; values of cudaDataType.</summary>
public enum BlasDataType
{
    /// <summary>float32.</summary>
    R32F = 0,

    /// <summary>float64.</summary>
    R64F = 1,

    /// <summary>float16.</summary>
    R16F = 2,

    /// <summary>bfloat16.</summary>
    R16BF = 14,
}
