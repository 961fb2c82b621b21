using System.Runtime.CompilerServices;

namespace FastKron.Native.Compute.Tensors;

/// <summary>Checks of operation arguments: each throws <see cref="ArgumentException"/> with what was expected and what was found.</summary>
internal static class TensorArguments
{
    /// <summary>Requires shape (rows, columns).</summary>
    public static void RequireShape(Tensor tensor, int rows, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.Rows != rows || tensor.Columns != columns)
            throw new ArgumentException($"{name}: expected shape ({rows}, {columns}), found {tensor}", name);
    }

    /// <summary>Requires as many rows as columns.</summary>
    public static void RequireSquare(Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.Rows != tensor.Columns)
            throw new ArgumentException($"{name}: expected a square matrix, found {tensor}", name);
    }

    /// <summary>Requires no gaps between rows.</summary>
    public static void RequireContiguous(Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (!tensor.IsContiguous)
            throw new ArgumentException($"{name}: expected rows without gaps, found {tensor}", name);
    }

    /// <summary>Requires one element type.</summary>
    public static void RequireType(Tensor tensor, DType type, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.Type != type)
            throw new ArgumentException($"{name}: expected {type}, found {tensor}", name);
    }

    /// <summary>Requires F32 or F64.</summary>
    public static void RequireSingleOrDouble(Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.Type is not (DType.F32 or DType.F64))
            throw new ArgumentException($"{name}: expected F32 or F64, found {tensor}", name);
    }

    /// <summary>Requires a floating-point type.</summary>
    public static void RequireFloating(Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (!IsFloating(tensor.Type))
            throw new ArgumentException($"{name}: expected F32, BF16, F16 or F64, found {tensor}", name);
    }

    /// <summary>Requires F32, BF16 or F16, or F64 where the result is F64: sums are kept in the result's precision.</summary>
    public static void RequirePrecisionOf(Tensor result, Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        RequireFloating(tensor, name);
        if (tensor.Type == DType.F64 != (result.Type == DType.F64))
            throw new ArgumentException($"{name}: expected {(result.Type == DType.F64 ? "F64" : "F32, BF16 or F16")} as the result is {result.Type}, found {tensor}", name);
    }

    /// <summary>Requires memory of the kind that a backend computes in.</summary>
    public static void RequireMemory(Tensor tensor, bool onHost, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsHost != onHost)
            throw new ArgumentException($"{name}: expected {(onHost ? "host" : "device")} memory, found {tensor}", name);
    }

    /// <summary>Requires elements of the type <typeparamref name="T"/>, as many as <paramref name="length"/>.</summary>
    public static void RequireElements<T>(Tensor tensor, int length) where T : unmanaged
    {
        bool matches = tensor.Type switch
        {
            DType.F32 => typeof(T) == typeof(float),
            DType.F64 => typeof(T) == typeof(double),
            DType.BF16 => typeof(T) == typeof(BFloat16),
            DType.F16 => typeof(T) == typeof(Half),
            DType.I32 => typeof(T) == typeof(int),
            _ => typeof(T) == typeof(ushort),
        };
        if (!matches)
            throw new ArgumentException($"expected elements of {tensor.Type}, found {typeof(T).Name}", nameof(tensor));
        if (tensor.Length != length)
            throw new ArgumentException($"expected {tensor.Length} elements for {tensor}, found {length}", nameof(tensor));
    }

    /// <summary>Requires one kind of memory, type and shape (rows, columns).</summary>
    public static void Require(Tensor tensor, bool onHost, DType type, int rows, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsHost != onHost || tensor.Type != type || tensor.Rows != rows || tensor.Columns != columns)
            throw new ArgumentException($"{name}: expected {type} ({rows}, {columns}) in {(onHost ? "host" : "device")} memory, found {tensor}", name);
    }

    /// <summary>Checks <see cref="IBackend.StartCopy"/>.</summary>
    public static void StartCopy(Tensor source, Tensor destination)
    {
        if (source.Type != destination.Type || source.Rows != destination.Rows || source.Columns != destination.Columns)
            throw new ArgumentException($"expected {source} as the source, found {destination}", nameof(destination));
        if (!source.IsContiguous || !destination.IsContiguous)
            throw new ArgumentException($"expected tensors without gaps, found {source} and {destination}", nameof(source));
    }

    /// <summary>Whether the type is a floating-point type.</summary>
    public static bool IsFloating(DType type) => type is DType.F32 or DType.F64 or DType.BF16 or DType.F16;
}
