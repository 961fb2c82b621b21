using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>An element type of the safetensors format.</summary>
public sealed record SafetensorsType
{
    private SafetensorsType(string name, int bits) => (Name, Bits) = (name, bits);

    /// <summary>One byte a truth value.</summary>
    public static SafetensorsType Bool { get; } = new("BOOL", 8);

    /// <summary>8-bit unsigned integer.</summary>
    public static SafetensorsType U8 { get; } = new("U8", 8);

    /// <summary>8-bit signed integer.</summary>
    public static SafetensorsType I8 { get; } = new("I8", 8);

    /// <summary>16-bit signed integer.</summary>
    public static SafetensorsType I16 { get; } = new("I16", 16);

    /// <summary>16-bit unsigned integer.</summary>
    public static SafetensorsType U16 { get; } = new("U16", 16);

    /// <summary>32-bit signed integer.</summary>
    public static SafetensorsType I32 { get; } = new("I32", 32);

    /// <summary>32-bit unsigned integer.</summary>
    public static SafetensorsType U32 { get; } = new("U32", 32);

    /// <summary>64-bit signed integer.</summary>
    public static SafetensorsType I64 { get; } = new("I64", 64);

    /// <summary>64-bit unsigned integer.</summary>
    public static SafetensorsType U64 { get; } = new("U64", 64);

    /// <summary>IEEE 754 binary16.</summary>
    public static SafetensorsType F16 { get; } = new("F16", 16);

    /// <summary>bfloat16.</summary>
    public static SafetensorsType BF16 { get; } = new("BF16", 16);

    /// <summary>IEEE 754 binary32.</summary>
    public static SafetensorsType F32 { get; } = new("F32", 32);

    /// <summary>IEEE 754 binary64.</summary>
    public static SafetensorsType F64 { get; } = new("F64", 64);

    /// <summary>Every known type: those above, 8-, 6- and 4-bit floats of the OCP formats, and complex numbers.</summary>
    public static IReadOnlyList<SafetensorsType> All { get; } =
    [
        Bool, U8, I8, I16, U16, I32, U32, I64, U64, F16, BF16, F32, F64,
        new("F8_E4M3", 8), new("F8_E5M2", 8), new("F8_E8M0", 8), new("F8_E4M3FNUZ", 8), new("F8_E5M2FNUZ", 8),
        new("F6_E2M3", 6), new("F6_E3M2", 6), new("F4", 4), new("C64", 64),
    ];

    /// <summary>Name in the file's header.</summary>
    public string Name { get; }

    /// <summary>Bits of one element; below 8 elements are packed without gaps.</summary>
    public int Bits { get; }

    /// <summary>The type of that name, or null.</summary>
    public static SafetensorsType? Find(string name)
    {
        foreach (SafetensorsType type in All)
        {
            if (type.Name == name)
                return type;
        }
        return null;
    }

    /// <summary>The type in which a tensor of the engine is stored.</summary>
    public static SafetensorsType From(DType type) => type switch
    {
        DType.F32 => F32,
        DType.F64 => F64,
        DType.BF16 => BF16,
        DType.F16 => F16,
        DType.I32 => I32,
        DType.U16 => U16,
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <inheritdoc/>
    public override string ToString() => Name;
}
