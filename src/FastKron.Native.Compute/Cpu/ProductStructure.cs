namespace FastKron.Native.Compute.Cpu;

/// <summary>Zeros of the operands and unwanted parts of the result, which a <see cref="MatrixProduct"/> a · b leaves out.</summary>
[Flags]
internal enum ProductStructure
{
    /// <summary>Everything is computed.</summary>
    General = 0,

    /// <summary>Only the elements of the result on and below the diagonal are computed and written.</summary>
    LowerResult = 1,

    /// <summary>a is lower triangular.</summary>
    LowerLeft = 2,

    /// <summary>b is lower triangular.</summary>
    LowerRight = 4,

    /// <summary>b is upper triangular.</summary>
    UpperRight = 8,
}
