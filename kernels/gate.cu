// swiglu: y = g s u with s = 1 / (1 + exp(-g));  swiglu_backward: dg = dy u s (1 + g (1 - s)), du = dy g s
// add: y = x + y, the residual connection
// Shapes    g (gate), u (up), y and their gradients (rows, columns); row-major, rows a stride of elements apart.
// Launch    elementwise (device/elementwise.cuh); aligned: all addresses and strides are multiples of 16 bytes.
// Numerics  f32, rounded once to the stored type.
// Source    arXiv:2002.05202
#include "device/elementwise.cuh"

__device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

struct GateGradients
{
    float gate, up;
};

__device__ __forceinline__ float gated(float gate, float up)
{
    return gate * sigmoid(gate) * up;
}

__device__ __forceinline__ GateGradients gated_backward(float dy, float gate, float up)
{
    float sigma = sigmoid(gate), through = dy * sigma;
    return {through * up * (1.0f + gate * (1.0f - sigma)), through * gate};
}

template <typename T>
__device__ __forceinline__ void swiglu(T* y, const T* gate, const T* up, size_t yStride, size_t gateStride,
                                       size_t upStride, size_t rows, size_t columns, int aligned)
{
    constexpr int N = PackElements<T>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<T, N> g = load_pack<N>(gate + row * gateStride + column);
            Pack<T, N> u = load_pack<N>(up + row * upStride + column);
#pragma unroll
            for (int i = 0; i < N; i++)
                g.values[i] = convert<T>(gated(convert<float>(g.values[i]), convert<float>(u.values[i])));
            store_pack(y + row * yStride + column, g);
        },
        [=](size_t row, size_t column)
        {
            float g = convert<float>(gate[row * gateStride + column]), u = convert<float>(up[row * upStride + column]);
            y[row * yStride + column] = convert<T>(gated(g, u));
        });
}

template <typename T>
__device__ __forceinline__ void swiglu_backward(T* dGate, T* dUp, const T* dy, const T* gate, const T* up,
                                                size_t dGateStride, size_t dUpStride, size_t dyStride,
                                                size_t gateStride, size_t upStride, size_t rows, size_t columns,
                                                int aligned)
{
    constexpr int N = PackElements<T>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<T, N> d = load_pack<N>(dy + row * dyStride + column);
            Pack<T, N> g = load_pack<N>(gate + row * gateStride + column);
            Pack<T, N> u = load_pack<N>(up + row * upStride + column);
#pragma unroll
            for (int i = 0; i < N; i++)
            {
                float dOutput = convert<float>(d.values[i]);
                GateGradients gradients =
                    gated_backward(dOutput, convert<float>(g.values[i]), convert<float>(u.values[i]));
                g.values[i] = convert<T>(gradients.gate);
                u.values[i] = convert<T>(gradients.up);
            }
            store_pack(dGate + row * dGateStride + column, g);
            store_pack(dUp + row * dUpStride + column, u);
        },
        [=](size_t row, size_t column)
        {
            float d = convert<float>(dy[row * dyStride + column]), g = convert<float>(gate[row * gateStride + column]);
            GateGradients gradients = gated_backward(d, g, convert<float>(up[row * upStride + column]));
            dGate[row * dGateStride + column] = convert<T>(gradients.gate);
            dUp[row * dUpStride + column] = convert<T>(gradients.up);
        });
}

template <typename T>
__device__ __forceinline__ void add(T* y, const T* x, size_t yStride, size_t xStride, size_t rows, size_t columns,
                                    int aligned)
{
    constexpr int N = PackElements<T>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            T* address = y + row * yStride + column;
            Pack<T, N> sum = load_pack<N>(address);
            Pack<T, N> term = load_pack<N>(x + row * xStride + column);
#pragma unroll
            for (int i = 0; i < N; i++)
                sum.values[i] = convert<T>(convert<float>(sum.values[i]) + convert<float>(term.values[i]));
            store_pack(address, sum);
        },
        [=](size_t row, size_t column)
        {
            T& sum = y[row * yStride + column];
            sum = convert<T>(convert<float>(sum) + convert<float>(x[row * xStride + column]));
        });
}

#define GATE_KERNELS(SUFFIX, T)                                                                                        \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks) swiglu_##SUFFIX(               \
        T* __restrict__ y, const T* __restrict__ gate, const T* __restrict__ up, size_t yStride, size_t gateStride,    \
        size_t upStride, size_t rows, size_t columns, int aligned)                                                     \
    {                                                                                                                  \
        swiglu(y, gate, up, yStride, gateStride, upStride, rows, columns, aligned);                                    \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads) swiglu_backward_##SUFFIX(                         \
        T* __restrict__ dGate, T* __restrict__ dUp, const T* __restrict__ dy, const T* __restrict__ gate,              \
        const T* __restrict__ up, size_t dGateStride, size_t dUpStride, size_t dyStride, size_t gateStride,            \
        size_t upStride, size_t rows, size_t columns, int aligned)                                                     \
    {                                                                                                                  \
        swiglu_backward(dGate, dUp, dy, gate, up, dGateStride, dUpStride, dyStride, gateStride, upStride, rows,        \
                        columns, aligned);                                                                             \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads)                                                   \
        add_##SUFFIX(T* __restrict__ y, const T* __restrict__ x, size_t yStride, size_t xStride, size_t rows,          \
                     size_t columns, int aligned)                                                                      \
    {                                                                                                                  \
        add(y, x, yStride, xStride, rows, columns, aligned);                                                           \
    }

GATE_KERNELS(f32, float)
GATE_KERNELS(bf16, bf16)
