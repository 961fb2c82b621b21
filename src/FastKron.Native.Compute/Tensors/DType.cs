namespace FastKron.Native.Compute.Tensors;

/// <summary>Element type of a <see cref="Tensor"/>.</summary>
public enum DType
{
    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>IEEE 754 binary64: factorisations and statistics.</summary>
    F64,

    /// <summary>bfloat16: the upper half of a binary32.</summary>
    BF16,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>32-bit signed integer: token ids, labels, positions.</summary>
    I32,

    /// <summary>16-bit unsigned integer: trellis states and packed codes.</summary>
    U16,
}

/// <summary>Sizes and names of <see cref="DType"/> values.</summary>
public static class DTypes
{
    // In the order of the type's members. A lookup is inlined: rows are taken by the million.
    private static ReadOnlySpan<byte> Sizes => [4, 8, 2, 2, 4, 2];

    /// <summary>Size of one element in bytes.</summary>
    public static int Size(this DType type) => Sizes[(int)type];
}
