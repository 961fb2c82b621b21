using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>Checks of the memory, matrix and Kronecker operations, the same on every backend; each throws <see cref="ArgumentException"/>.</summary>
internal static class MatrixArguments
{
    /// <summary>Checks <see cref="IBackend.Convert"/>.</summary>
    public static void Convert(bool onHost, Tensor source, Tensor destination)
    {
        TensorArguments.RequireMemory(source, onHost);
        TensorArguments.RequireMemory(destination, onHost);
        TensorArguments.RequireShape(destination, source.Rows, source.Columns);
        if (source.Type != destination.Type)
        {
            TensorArguments.RequireFloating(source);
            TensorArguments.RequireFloating(destination);
        }
    }

    /// <summary>Checks <see cref="IBackend.MatMul"/>; gives the sizes of the product.</summary>
    public static (int M, int N, int K) MatMul(bool onHost, Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        (int m, int k) = transposeA ? (a.Columns, a.Rows) : (a.Rows, a.Columns);
        int n = transposeB ? b.Rows : b.Columns;
        TensorArguments.RequireMemory(a, onHost);
        TensorArguments.RequireMemory(b, onHost);
        TensorArguments.RequireMemory(c, onHost);
        TensorArguments.RequirePrecisionOf(c, a);
        TensorArguments.RequirePrecisionOf(c, b);
        TensorArguments.RequireShape(b, transposeB ? n : k, transposeB ? k : n);
        TensorArguments.RequireShape(c, m, n);
        return (m, n, k);
    }

    /// <summary>Checks <see cref="IBackend.SymmetricRankK"/>.</summary>
    public static void SymmetricRankK(bool onHost, Tensor a, bool transposeA, Tensor c)
    {
        TensorArguments.RequireMemory(a, onHost);
        TensorArguments.RequireMemory(c, onHost);
        TensorArguments.RequireSingleOrDouble(c);
        TensorArguments.RequirePrecisionOf(c, a);
        int n = transposeA ? a.Columns : a.Rows;
        TensorArguments.RequireShape(c, n, n);
    }

    /// <summary>Checks <see cref="IBackend.SymmetricProduct"/>.</summary>
    public static void SymmetricProduct(bool onHost, Tensor a, Tensor b, Tensor c)
    {
        SymmetricRankK(onHost, a, transposeA: true, c);
        TensorArguments.RequireMemory(b, onHost);
        TensorArguments.RequireType(b, a.Type);
        TensorArguments.RequireShape(b, a.Rows, a.Columns);
    }

    /// <summary>Checks <see cref="IBackend.WeighRows"/>.</summary>
    public static void WeighRows(bool onHost, Tensor a, Tensor b, Tensor x, Tensor y)
    {
        foreach (Tensor tensor in (ReadOnlySpan<Tensor>)[a, b, x, y])
            TensorArguments.RequireMemory(tensor, onHost);
        TensorArguments.RequireType(a, DType.F32);
        if (x.Type != DType.F32 && (onHost || x.Type != DType.BF16))
            throw new ArgumentException($"x: expected {(onHost ? "F32" : "F32 or BF16")}, found {x}", nameof(x));
        if (b.Type != DType.F32 && b.Type != x.Type)
            throw new ArgumentException($"b: expected F32 or {x.Type}, found {b}", nameof(b));
        TensorArguments.RequireShape(b, a.Rows, a.Columns);
        TensorArguments.RequireShape(x, a.Rows, x.Columns);
        TensorArguments.RequireType(y, x.Type);
        TensorArguments.RequireShape(y, x.Rows, x.Columns);
    }

    /// <summary>Checks <see cref="IBackend.Axpy"/>.</summary>
    public static void Axpy(bool onHost, Tensor x, Tensor y)
    {
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireMemory(y, onHost);
        TensorArguments.RequireSingleOrDouble(y);
        TensorArguments.RequireType(x, y.Type);
        TensorArguments.RequireShape(x, y.Rows, y.Columns);
    }

    /// <summary>Checks <see cref="IBackend.Multiply"/>.</summary>
    public static void Multiply(bool onHost, Tensor x, Tensor y)
    {
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireMemory(y, onHost);
        TensorArguments.RequireType(x, DType.F32);
        TensorArguments.RequireType(y, DType.F32);
        TensorArguments.RequireShape(x, y.Rows, y.Columns);
    }

    /// <summary>Checks <see cref="IBackend.Scale"/>.</summary>
    public static void Scale(bool onHost, Tensor x)
    {
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireSingleOrDouble(x);
    }

    /// <summary>Checks <see cref="IBackend.Dot"/>.</summary>
    public static void Dot(bool onHost, Tensor x, Tensor y)
    {
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireMemory(y, onHost);
        TensorArguments.RequireFloating(x);
        TensorArguments.RequireFloating(y);
        TensorArguments.RequireShape(x, y.Rows, y.Columns);
    }

    /// <summary>Checks <see cref="IBackend.Orthogonalize"/>.</summary>
    public static void Orthogonalize(bool onHost, IReadOnlyList<Tensor> basis, Tensor x)
    {
        TensorArguments.RequireSingleOrDouble(x);
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireContiguous(x);
        foreach (Tensor vector in basis)
        {
            TensorArguments.RequireMemory(vector, onHost);
            TensorArguments.RequireType(vector, x.Type);
            TensorArguments.RequireShape(vector, x.Rows, x.Columns);
            TensorArguments.RequireContiguous(vector);
        }
    }

    /// <summary>Checks <see cref="IBackend.InverseRoots"/>.</summary>
    public static void InverseRoots(bool onHost, Tensor h, Tensor logDeterminants, Tensor failures)
    {
        TensorArguments.RequireMemory(h, onHost);
        TensorArguments.RequireMemory(logDeterminants, onHost);
        TensorArguments.RequireMemory(failures, onHost);
        TensorArguments.RequireType(h, DType.F64);
        TensorArguments.RequireType(logDeterminants, DType.F64);
        TensorArguments.RequireType(failures, DType.I32);
        TensorArguments.RequireShape(failures, failures.Rows, 1);
        TensorArguments.RequireShape(logDeterminants, failures.Rows, 1);
        TensorArguments.RequireShape(h, failures.Rows * h.Columns, h.Columns);
        TensorArguments.RequireContiguous(logDeterminants);
        TensorArguments.RequireContiguous(failures);
    }

    /// <summary>Checks <see cref="IBackend.BlockLdl"/>.</summary>
    public static void BlockLdl(bool onHost, Tensor h, int block, Tensor l, Tensor d, Tensor failures)
    {
        TensorArguments.RequireMemory(h, onHost);
        TensorArguments.RequireMemory(l, onHost);
        TensorArguments.RequireMemory(d, onHost);
        TensorArguments.RequireMemory(failures, onHost);
        TensorArguments.RequireType(h, DType.F64);
        TensorArguments.RequireType(failures, DType.I32);
        TensorArguments.RequireShape(failures, failures.Rows, 1);
        int n = h.Columns;
        TensorArguments.RequireShape(h, failures.Rows * n, n);
        if (block <= 0 || n % block != 0)
            throw new ArgumentException($"block: expected a divisor of {n}, found {block}", nameof(block));
        TensorArguments.RequireType(l, DType.F32);
        TensorArguments.RequireShape(l, h.Rows, n);
        TensorArguments.RequireType(d, DType.F64);
        TensorArguments.RequireShape(d, h.Rows, block);
    }

    /// <summary>Checks <see cref="IBackend.KroneckerApply"/> and <see cref="IBackend.KroneckerGram"/>; gives n, the columns of one gradient.</summary>
    public static int Kronecker(bool onHost, Tensor stack, int gradients, KroneckerSide side, Tensor? v, Tensor result)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(gradients, 1);
        TensorArguments.RequireMemory(stack, onHost);
        TensorArguments.RequireMemory(result, onHost);
        if (stack.Columns % gradients != 0 || stack.Columns == 0)
            throw new ArgumentException($"stack: expected columns of {gradients} gradients, found {stack}", nameof(stack));
        TensorArguments.RequireContiguous(stack);
        int n = stack.Columns / gradients, produced = side == KroneckerSide.Rows ? stack.Rows : n, given = side == KroneckerSide.Rows ? n : stack.Rows;
        TensorArguments.RequireSingleOrDouble(result);
        TensorArguments.RequirePrecisionOf(result, stack);
        TensorArguments.RequireShape(result, produced, produced);
        if (v is not null)
        {
            TensorArguments.RequireMemory(v, onHost);
            TensorArguments.RequireType(v, result.Type);
            TensorArguments.RequireShape(v, given, given);
        }
        return n;
    }

    /// <summary>The size of even steps of at most <paramref name="limit"/> that cover <paramref name="count"/>.</summary>
    public static int EvenStep(int count, long limit)
    {
        limit = Math.Clamp(limit, 1, Math.Max(1, count));
        return (int)((count + (count + limit - 1) / limit - 1) / ((count + limit - 1) / limit));
    }
}
