using System.Runtime.CompilerServices;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>CUtensorMap: describes a BF16 tensor in device memory and a box of it to the copy engine of compute capability 9.0. A kernel takes it as a
/// <c>__grid_constant__</c> parameter.</summary>
[InlineArray(Bytes / sizeof(ulong))]
public struct CudaTensorMap
{
    private const int Bytes = 128, Alignment = 64, MaximumRank = 5;

    // Values of cuda.h.
    private const int TypeBF16 = 9, Swizzle128Bytes = 3, Promotion256Bytes = 3;

    private ulong _first;

    /// <summary>Describes a tensor whose boxes arrive in shared memory with 128-byte swizzle: 16-byte chunk c of 128-byte row r at c ^ (r mod 8). Elements outside
    /// the tensor arrive as zeros.</summary>
    /// <param name="address">Device address, a multiple of 16.</param>
    /// <param name="sizes">Elements of each dimension, the contiguous one first.</param>
    /// <param name="strides">Elements from one index to the next of each dimension but the first; multiples of 8.</param>
    /// <param name="box">Elements of the box in each dimension: 64 in the first, at most 256.</param>
    /// <exception cref="ArgumentException">Not 1 to 5 sizes, or not as many strides less one or box sizes.</exception>
    /// <exception cref="CudaException">The driver does not accept the numbers.</exception>
    public static unsafe CudaTensorMap OfBF16(nint address, ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides, ReadOnlySpan<int> box)
    {
        int rank = sizes.Length;
        if (rank is 0 or > MaximumRank || strides.Length != rank - 1 || box.Length != rank)
            throw new ArgumentException($"tensor map: {rank} sizes, {strides.Length} strides, box of {box.Length}; expected 1 to {MaximumRank} sizes, one stride less, as many box sizes");
        ulong* globalSizes = stackalloc ulong[MaximumRank], globalStrides = stackalloc ulong[MaximumRank];
        uint* boxSizes = stackalloc uint[MaximumRank], steps = stackalloc uint[MaximumRank];
        for (int i = 0; i < rank; i++)
        {
            (globalSizes[i], boxSizes[i], steps[i]) = ((ulong)sizes[i], (uint)box[i], 1);
            if (i > 0)
                globalStrides[i - 1] = (ulong)strides[i - 1] * sizeof(ushort);
        }
        byte* room = stackalloc byte[Bytes + Alignment];
        var map = (CudaTensorMap*)(((nint)room + Alignment - 1) & -Alignment);
        Check(cuTensorMapEncodeTiled(map, TypeBF16, (uint)rank, address, globalSizes, globalStrides, boxSizes, steps, 0, Swizzle128Bytes, Promotion256Bytes, 0));
        return *map;
    }
}
