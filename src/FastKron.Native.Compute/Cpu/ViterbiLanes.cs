using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FastKron.Native.Compute.Cpu;

/// <summary>The vector operations of the Viterbi step at one width: the step is written once and gives the same bits at every width.</summary>
/// <typeparam name="TVector">A vector of float32.</typeparam>
internal unsafe interface IViterbiLanes<TVector>
{
    /// <summary>Numbers in a vector.</summary>
    static abstract int Count { get; }

    static abstract TVector Broadcast(float value);

    static abstract TVector Load(float* address);

    static abstract void Store(TVector value, float* address);

    static abstract TVector Add(TVector a, TVector b);

    static abstract TVector Subtract(TVector a, TVector b);

    /// <summary>a · a + b with one rounding.</summary>
    static abstract TVector SquareAdd(TVector a, TVector b);

    /// <summary>Smaller of two numbers that are neither negative nor NaN: their bits compare as integers.</summary>
    static abstract TVector Min(TVector a, TVector b);

    static abstract TVector Reverse(TVector value);

    /// <summary>source[i >> shift] in lane i. May read a whole vector from <paramref name="source"/> on.</summary>
    static abstract TVector Spread(float* source, int shift);
}

internal readonly unsafe struct Lanes512 : IViterbiLanes<Vector512<float>>
{
    public static int Count => 16;

    public static Vector512<float> Broadcast(float value) => Vector512.Create(value);

    public static Vector512<float> Load(float* address) => Vector512.Load(address);

    public static void Store(Vector512<float> value, float* address) => value.Store(address);

    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    public static Vector512<float> SquareAdd(Vector512<float> a, Vector512<float> b) => Vector512.FusedMultiplyAdd(a, a, b);

    public static Vector512<float> Min(Vector512<float> a, Vector512<float> b) => Vector512.Min(a.AsInt32(), b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Reverse(Vector512<float> value) =>
        Vector512.Shuffle(value, Vector512.Create(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Spread(float* source, int shift) => shift >= 4
        ? Vector512.Create(*source)
        : Vector512.Shuffle(Vector512.Load(source), Vector512<int>.Indices >> shift);
}

internal readonly unsafe struct Lanes256 : IViterbiLanes<Vector256<float>>
{
    public static int Count => 8;

    public static Vector256<float> Broadcast(float value) => Vector256.Create(value);

    public static Vector256<float> Load(float* address) => Vector256.Load(address);

    public static void Store(Vector256<float> value, float* address) => value.Store(address);

    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    public static Vector256<float> SquareAdd(Vector256<float> a, Vector256<float> b) => Vector256.FusedMultiplyAdd(a, a, b);

    public static Vector256<float> Min(Vector256<float> a, Vector256<float> b) => Vector256.Min(a.AsInt32(), b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Reverse(Vector256<float> value) => Vector256.Shuffle(value, Vector256.Create(7, 6, 5, 4, 3, 2, 1, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Spread(float* source, int shift) => shift >= 3
        ? Vector256.Create(*source)
        : Vector256.Shuffle(Vector256.Load(source), Vector256<int>.Indices >> shift);
}

internal readonly unsafe struct Lanes128 : IViterbiLanes<Vector128<float>>
{
    public static int Count => 4;

    public static Vector128<float> Broadcast(float value) => Vector128.Create(value);

    public static Vector128<float> Load(float* address) => Vector128.Load(address);

    public static void Store(Vector128<float> value, float* address) => value.Store(address);

    public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;

    public static Vector128<float> Subtract(Vector128<float> a, Vector128<float> b) => a - b;

    public static Vector128<float> SquareAdd(Vector128<float> a, Vector128<float> b) => Vector128.FusedMultiplyAdd(a, a, b);

    public static Vector128<float> Min(Vector128<float> a, Vector128<float> b) => Vector128.Min(a.AsInt32(), b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Reverse(Vector128<float> value) => Vector128.Shuffle(value, Vector128.Create(3, 2, 1, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Spread(float* source, int shift) => shift >= 2
        ? Vector128.Create(*source)
        : Vector128.Shuffle(Vector128.Load(source), Vector128<int>.Indices >> shift);
}

internal readonly unsafe struct Lanes1 : IViterbiLanes<float>
{
    public static int Count => 1;

    public static float Broadcast(float value) => value;

    public static float Load(float* address) => *address;

    public static void Store(float value, float* address) => *address = value;

    public static float Add(float a, float b) => a + b;

    public static float Subtract(float a, float b) => a - b;

    public static float SquareAdd(float a, float b) => MathF.FusedMultiplyAdd(a, a, b);

    public static float Min(float a, float b) => b < a ? b : a;

    public static float Reverse(float value) => value;

    public static float Spread(float* source, int shift) => *source;
}
