namespace FastKron.Native.Formats;

/// <summary>Name, element type and shape of one tensor of a safetensors file.</summary>
public sealed record SafetensorsTensor
{
    /// <summary>Describes a tensor.</summary>
    /// <param name="name">Name, for example <c>model.layers.0.mlp.up_proj.weight</c>.</param>
    /// <param name="type">Element type.</param>
    /// <param name="shape">Elements along each axis, outermost first; empty for a scalar.</param>
    /// <exception cref="ArgumentException">A negative size, a size in bytes above 2⁶³−1, or no whole number of bytes.</exception>
    public SafetensorsTensor(string name, SafetensorsType type, IReadOnlyList<long> shape)
    {
        if (!TryCountBytes(type, shape, out long bytes))
            throw new ArgumentException($"{name}: {type} {Describe(shape)} has no size in whole bytes below 2^63");
        (Name, Type, Shape, Bytes) = (name, type, shape, bytes);
    }

    /// <summary>Name.</summary>
    public string Name { get; }

    /// <summary>Element type.</summary>
    public SafetensorsType Type { get; }

    /// <summary>Elements along each axis, outermost first; empty for a scalar.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Size in bytes: product of the shape times the bits of an element, over 8.</summary>
    public long Bytes { get; }

    /// <summary>A shape as text: <c>(4096, 14336)</c>.</summary>
    public static string Describe(IReadOnlyList<long> shape) => $"({string.Join(", ", shape)})";

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {Describe(Shape)} {Type}";

    /// <summary>Product of the shape times the bits of an element, over 8; false where that overflows or is no whole number.</summary>
    internal static bool TryCountBytes(SafetensorsType type, IReadOnlyList<long> shape, out long bytes)
    {
        bytes = 0;
        UInt128 bits = (UInt128)type.Bits;
        foreach (long size in shape)
        {
            // bits stays below 2^66 and size below 2^63, so the product cannot wrap.
            if (size < 0 || (bits *= (UInt128)size) > 8 * (UInt128)long.MaxValue)
                return false;
        }
        bytes = (long)(bits / 8);
        return bits % 8 == 0;
    }
}
