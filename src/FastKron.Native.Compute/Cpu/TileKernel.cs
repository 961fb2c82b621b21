using System.Runtime.CompilerServices;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Compile-time sizes of a register tile: the compiler drops the rows and vectors beyond them.</summary>
internal interface ITileShape
{
    /// <summary>Rows, 4 or 8.</summary>
    static abstract int Rows { get; }

    /// <summary>Vectors in a row, 1 to 3.</summary>
    static abstract int Vectors { get; }
}

/// <summary>The innermost loop of every matrix product: a tile of sums held in registers.</summary>
/// <remarks>
/// 8 × 3 sums, 3 vectors of b and one broadcast of a are 28 of the 32 registers of AVX-512; 4 × 3 sums make 16, all that AVX2 has. One vector
/// of columns still gives 8 (4) independent sums, as many as hide the latency of a multiply-add.
/// </remarks>
internal static unsafe class TileKernel<TShape, TSimd, TVector, T>
    where TShape : ITileShape
    where TSimd : ISimd<T, TVector>
    where TVector : unmanaged
    where T : unmanaged
{
    /// <summary>tile ← (accumulate ? tile : 0) + aᵀ b.</summary>
    /// <param name="depth">Terms of each sum.</param>
    /// <param name="a">(depth, rows): element (p, i) at p · aStride + i.</param>
    /// <param name="aStride">Elements between rows of a.</param>
    /// <param name="b">(depth, columns): element (p, j) at p · bStride + j.</param>
    /// <param name="bStride">Elements between rows of b.</param>
    /// <param name="tile">(rows, columns), overwritten.</param>
    /// <param name="tileStride">Elements between rows of tile.</param>
    /// <param name="accumulate">Whether the tile's values are added, after the sum: short chains of additions round less than a long one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(nint depth, T* a, nint aStride, T* b, nint bStride, T* tile, nint tileStride, bool accumulate)
    {
        TVector s00 = default, s01 = default, s02 = default;
        TVector s10 = default, s11 = default, s12 = default;
        TVector s20 = default, s21 = default, s22 = default;
        TVector s30 = default, s31 = default, s32 = default;
        TVector s40 = default, s41 = default, s42 = default;
        TVector s50 = default, s51 = default, s52 = default;
        TVector s60 = default, s61 = default, s62 = default;
        TVector s70 = default, s71 = default, s72 = default;
        for (; depth > 0; depth--, a += aStride, b += bStride)
        {
            TVector b0 = Load(b, 0), b1 = Load(b, 1), b2 = Load(b, 2);
            TVector x = TSimd.Broadcast(a[0]);
            s00 = Add(0, x, b0, s00);
            s01 = Add(1, x, b1, s01);
            s02 = Add(2, x, b2, s02);
            x = TSimd.Broadcast(a[1]);
            s10 = Add(0, x, b0, s10);
            s11 = Add(1, x, b1, s11);
            s12 = Add(2, x, b2, s12);
            x = TSimd.Broadcast(a[2]);
            s20 = Add(0, x, b0, s20);
            s21 = Add(1, x, b1, s21);
            s22 = Add(2, x, b2, s22);
            x = TSimd.Broadcast(a[3]);
            s30 = Add(0, x, b0, s30);
            s31 = Add(1, x, b1, s31);
            s32 = Add(2, x, b2, s32);
            if (TShape.Rows > 4)
            {
                x = TSimd.Broadcast(a[4]);
                s40 = Add(0, x, b0, s40);
                s41 = Add(1, x, b1, s41);
                s42 = Add(2, x, b2, s42);
                x = TSimd.Broadcast(a[5]);
                s50 = Add(0, x, b0, s50);
                s51 = Add(1, x, b1, s51);
                s52 = Add(2, x, b2, s52);
                x = TSimd.Broadcast(a[6]);
                s60 = Add(0, x, b0, s60);
                s61 = Add(1, x, b1, s61);
                s62 = Add(2, x, b2, s62);
                x = TSimd.Broadcast(a[7]);
                s70 = Add(0, x, b0, s70);
                s71 = Add(1, x, b1, s71);
                s72 = Add(2, x, b2, s72);
            }
        }
        if (accumulate)
        {
            (s00, s01, s02) = (Plus(tile, 0, s00), Plus(tile, 1, s01), Plus(tile, 2, s02));
            (s10, s11, s12) = (Plus(tile + tileStride, 0, s10), Plus(tile + tileStride, 1, s11), Plus(tile + tileStride, 2, s12));
            (s20, s21, s22) = (Plus(tile + 2 * tileStride, 0, s20), Plus(tile + 2 * tileStride, 1, s21), Plus(tile + 2 * tileStride, 2, s22));
            (s30, s31, s32) = (Plus(tile + 3 * tileStride, 0, s30), Plus(tile + 3 * tileStride, 1, s31), Plus(tile + 3 * tileStride, 2, s32));
            if (TShape.Rows > 4)
            {
                (s40, s41, s42) = (Plus(tile + 4 * tileStride, 0, s40), Plus(tile + 4 * tileStride, 1, s41), Plus(tile + 4 * tileStride, 2, s42));
                (s50, s51, s52) = (Plus(tile + 5 * tileStride, 0, s50), Plus(tile + 5 * tileStride, 1, s51), Plus(tile + 5 * tileStride, 2, s52));
                (s60, s61, s62) = (Plus(tile + 6 * tileStride, 0, s60), Plus(tile + 6 * tileStride, 1, s61), Plus(tile + 6 * tileStride, 2, s62));
                (s70, s71, s72) = (Plus(tile + 7 * tileStride, 0, s70), Plus(tile + 7 * tileStride, 1, s71), Plus(tile + 7 * tileStride, 2, s72));
            }
        }
        Store(tile, 0, s00);
        Store(tile, 1, s01);
        Store(tile, 2, s02);
        Store(tile + tileStride, 0, s10);
        Store(tile + tileStride, 1, s11);
        Store(tile + tileStride, 2, s12);
        Store(tile + 2 * tileStride, 0, s20);
        Store(tile + 2 * tileStride, 1, s21);
        Store(tile + 2 * tileStride, 2, s22);
        Store(tile + 3 * tileStride, 0, s30);
        Store(tile + 3 * tileStride, 1, s31);
        Store(tile + 3 * tileStride, 2, s32);
        if (TShape.Rows > 4)
        {
            Store(tile + 4 * tileStride, 0, s40);
            Store(tile + 4 * tileStride, 1, s41);
            Store(tile + 4 * tileStride, 2, s42);
            Store(tile + 5 * tileStride, 0, s50);
            Store(tile + 5 * tileStride, 1, s51);
            Store(tile + 5 * tileStride, 2, s52);
            Store(tile + 6 * tileStride, 0, s60);
            Store(tile + 6 * tileStride, 1, s61);
            Store(tile + 6 * tileStride, 2, s62);
            Store(tile + 7 * tileStride, 0, s70);
            Store(tile + 7 * tileStride, 1, s71);
            Store(tile + 7 * tileStride, 2, s72);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Load(T* row, int vector) => vector < TShape.Vectors ? TSimd.Load(row + vector * TSimd.Lanes) : default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Add(int vector, TVector a, TVector b, TVector sum) =>
        vector < TShape.Vectors ? TSimd.MultiplyAdd(a, b, sum) : sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Plus(T* row, int vector, TVector sum) => vector < TShape.Vectors ? TSimd.Add(TSimd.Load(row + vector * TSimd.Lanes), sum) : sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(T* row, int vector, TVector value)
    {
        if (vector < TShape.Vectors)
            TSimd.Store(value, row + vector * TSimd.Lanes);
    }
}
