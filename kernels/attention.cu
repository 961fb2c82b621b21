// attention: o = softmax(q k^T / sqrt(d)) v for every head; query i of a sequence sees its first
//            keys - queries + i + 1 keys; query head h reads key head h / (heads / keyHeads).
//            logSumExp[t, h] = ln sum exp(scores), optional.
// backward:  with dp = do v^T, delta = sum over the head of do * o, p = exp(score - logSumExp), ds = p (dp - delta):
//            dq = ds k / sqrt(d), dk = ds^T q / sqrt(d), dv = p^T do.
// Shapes     q, o, do, dq (T, heads d); k, v, dk, dv (keys, keyHeads d); logSumExp (T, heads) f32; terms (heads, T)
//            pairs f32. Rows lie their stride apart. _bf16_d64, _bf16_d128 and decode: d is exactly that, addresses are
//            16-byte aligned, strides multiples of 8. rows: any alignment, d up to the number. The tensor maps of
//            compute_90a have boxes of 64 columns by 64 rows.
// Launch     grid (works * heads), or (works * keyHeads) for dk and dv; terms: grid (ceil(T * heads / 16)). Block, tile
//            sizes and dynamic shared memory as in GpuBackend.Attention.cs, which lists the works, longest first.
//            Kernels with items = works * heads take any grid up to that. _bf16_d64 and _bf16_d128 of compute_90a are
//            other kernels with other parameters: GpuBackend.Attention.Warpgroups.cs.
// Numerics   scores, softmax and sums in f32; tensor-core kernels round p and ds to bf16 before the second product.
//            Against Reference/CausalAttention.cs, of the root mean square: f32 1e-5; bf16 2e-2, gradients 4e-2.
//            No atomics: equal calls give equal bytes.
// Source     arXiv:2205.14135, arXiv:2307.08691, arXiv:2407.08608; grouped heads arXiv:2305.13245.
#include "device/attention_backward.cuh"
#include "device/attention_backward_warpgroup.cuh"
#include "device/attention_forward.cuh"
#include "device/attention_forward_warpgroup.cuh"
#include "device/attention_rows.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

extern "C" __global__ void __launch_bounds__(PanelThreads, 1)
    attention_bf16_d64(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
                       const __grid_constant__ TensorMap v, bf16* __restrict__ output, float* __restrict__ logSumExp,
                       const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride, int items,
                       int heads, int keyHeads)
{
    attention_forward_warpgroup<64>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, items, heads,
                                    keyHeads);
}

extern "C" __global__ void __launch_bounds__(PanelThreads, 1)
    attention_bf16_d128(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
                        const __grid_constant__ TensorMap v, bf16* __restrict__ output, float* __restrict__ logSumExp,
                        const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride, int items,
                        int heads, int keyHeads)
{
    attention_forward_warpgroup<128>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, items, heads,
                                     keyHeads);
}

extern "C" __global__ void __launch_bounds__(PanelThreads, 1)
    attention_backward_query_bf16_d64(const __grid_constant__ TensorMap dOutput, const __grid_constant__ TensorMap q,
                                      const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v,
                                      bf16* __restrict__ dq, const float2* __restrict__ terms,
                                      const AttentionWork* __restrict__ works, size_t dqStride, size_t termsStride,
                                      int items, int heads, int keyHeads)
{
    attention_backward_query_warpgroup<64>(dq, dOutput, q, k, v, terms, works, dqStride, termsStride, items, heads,
                                           keyHeads);
}

extern "C" __global__ void __launch_bounds__(PanelThreads, 1)
    attention_backward_query_bf16_d128(const __grid_constant__ TensorMap dOutput, const __grid_constant__ TensorMap q,
                                       const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v,
                                       bf16* __restrict__ dq, const float2* __restrict__ terms,
                                       const AttentionWork* __restrict__ works, size_t dqStride, size_t termsStride,
                                       int items, int heads, int keyHeads)
{
    attention_backward_query_warpgroup<128>(dq, dOutput, q, k, v, terms, works, dqStride, termsStride, items, heads,
                                            keyHeads);
}

extern "C" __global__ void __launch_bounds__(PanelThreads, 1)
    attention_backward_key_bf16_d64(const __grid_constant__ TensorMap dOutput, const __grid_constant__ TensorMap q,
                                    const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v,
                                    bf16* __restrict__ dk, bf16* __restrict__ dv, const float2* __restrict__ terms,
                                    const AttentionWork* __restrict__ works, size_t dkStride, size_t dvStride,
                                    size_t termsStride, int heads, int keyHeads)
{
    attention_backward_key_warpgroup<64>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, termsStride, heads,
                                         keyHeads);
}

extern "C" __global__ void __launch_bounds__(PanelThreads, 1)
    attention_backward_key_bf16_d128(const __grid_constant__ TensorMap dOutput, const __grid_constant__ TensorMap q,
                                     const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v,
                                     bf16* __restrict__ dk, bf16* __restrict__ dv, const float2* __restrict__ terms,
                                     const AttentionWork* __restrict__ works, size_t dkStride, size_t dvStride,
                                     size_t termsStride, int heads, int keyHeads)
{
    attention_backward_key_warpgroup<128>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, termsStride,
                                          heads, keyHeads);
}
#else

extern "C" __global__ void __launch_bounds__(ForwardThreads, 2)
    attention_bf16_d64(bf16* __restrict__ output, float* __restrict__ logSumExp, const bf16* __restrict__ q,
                       const bf16* __restrict__ k, const bf16* __restrict__ v, const AttentionWork* __restrict__ works,
                       size_t outputStride, size_t logSumExpStride, size_t qStride, size_t kStride, size_t vStride,
                       int heads, int keyHeads)
{
    attention_forward<64>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride, vStride,
                          heads, keyHeads);
}

extern "C" __global__ void __launch_bounds__(ForwardThreads, 2)
    attention_bf16_d128(bf16* __restrict__ output, float* __restrict__ logSumExp, const bf16* __restrict__ q,
                        const bf16* __restrict__ k, const bf16* __restrict__ v, const AttentionWork* __restrict__ works,
                        size_t outputStride, size_t logSumExpStride, size_t qStride, size_t kStride, size_t vStride,
                        int heads, int keyHeads)
{
    attention_forward<128>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride, vStride,
                           heads, keyHeads);
}

extern "C" __global__ void __launch_bounds__(QueryKernelThreads)
    attention_backward_query_bf16_d64(bf16* __restrict__ dq, const bf16* __restrict__ dOutput,
                                      const bf16* __restrict__ q, const bf16* __restrict__ k,
                                      const bf16* __restrict__ v, const float2* __restrict__ terms,
                                      const AttentionWork* __restrict__ works, size_t dqStride, size_t dOutputStride,
                                      size_t qStride, size_t kStride, size_t vStride, size_t termsStride, int heads,
                                      int keyHeads)
{
    attention_backward_query<64>(dq, dOutput, q, k, v, terms, works, dqStride, dOutputStride, qStride, kStride, vStride,
                                 termsStride, heads, keyHeads);
}

extern "C" __global__ void __launch_bounds__(QueryKernelThreads)
    attention_backward_query_bf16_d128(bf16* __restrict__ dq, const bf16* __restrict__ dOutput,
                                       const bf16* __restrict__ q, const bf16* __restrict__ k,
                                       const bf16* __restrict__ v, const float2* __restrict__ terms,
                                       const AttentionWork* __restrict__ works, size_t dqStride, size_t dOutputStride,
                                       size_t qStride, size_t kStride, size_t vStride, size_t termsStride, int heads,
                                       int keyHeads)
{
    attention_backward_query<128>(dq, dOutput, q, k, v, terms, works, dqStride, dOutputStride, qStride, kStride,
                                  vStride, termsStride, heads, keyHeads);
}

extern "C" __global__ void __launch_bounds__(KeyKernelThreads)
    attention_backward_key_bf16_d64(bf16* __restrict__ dk, bf16* __restrict__ dv, const bf16* __restrict__ dOutput,
                                    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
                                    const float2* __restrict__ terms, const AttentionWork* __restrict__ works,
                                    size_t dkStride, size_t dvStride, size_t dOutputStride, size_t qStride,
                                    size_t kStride, size_t vStride, size_t termsStride, int heads, int keyHeads)
{
    attention_backward_key<64>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, dOutputStride, qStride,
                               kStride, vStride, termsStride, heads, keyHeads);
}

extern "C" __global__ void __launch_bounds__(KeyKernelThreads)
    attention_backward_key_bf16_d128(bf16* __restrict__ dk, bf16* __restrict__ dv, const bf16* __restrict__ dOutput,
                                     const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
                                     const float2* __restrict__ terms, const AttentionWork* __restrict__ works,
                                     size_t dkStride, size_t dvStride, size_t dOutputStride, size_t qStride,
                                     size_t kStride, size_t vStride, size_t termsStride, int heads, int keyHeads)
{
    attention_backward_key<128>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, dOutputStride, qStride,
                                kStride, vStride, termsStride, heads, keyHeads);
}

#endif

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_decode_bf16_d64(bf16* __restrict__ output, float* __restrict__ logSumExp, const bf16* __restrict__ q,
                              const bf16* __restrict__ k, const bf16* __restrict__ v,
                              const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride,
                              size_t qStride, size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    attention_rows<bf16, 4, 1>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride,
                               vStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_decode_bf16_d128(bf16* __restrict__ output, float* __restrict__ logSumExp, const bf16* __restrict__ q,
                               const bf16* __restrict__ k, const bf16* __restrict__ v,
                               const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride,
                               size_t qStride, size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    attention_rows<bf16, 8, 1>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride,
                               vStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_f32_d64(float* __restrict__ output, float* __restrict__ logSumExp, const float* __restrict__ q,
                           const float* __restrict__ k, const float* __restrict__ v,
                           const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride,
                           size_t qStride, size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    attention_rows<float, 1, 4>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride,
                                vStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_f32_d256(float* __restrict__ output, float* __restrict__ logSumExp, const float* __restrict__ q,
                            const float* __restrict__ k, const float* __restrict__ v,
                            const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride,
                            size_t qStride, size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    attention_rows<float, 1, 16>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride,
                                 vStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_bf16_d64(bf16* __restrict__ output, float* __restrict__ logSumExp, const bf16* __restrict__ q,
                            const bf16* __restrict__ k, const bf16* __restrict__ v,
                            const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride,
                            size_t qStride, size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    attention_rows<bf16, 1, 4>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride,
                               vStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_bf16_d256(bf16* __restrict__ output, float* __restrict__ logSumExp, const bf16* __restrict__ q,
                             const bf16* __restrict__ k, const bf16* __restrict__ v,
                             const AttentionWork* __restrict__ works, size_t outputStride, size_t logSumExpStride,
                             size_t qStride, size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    attention_rows<bf16, 1, 16>(output, logSumExp, q, k, v, works, outputStride, logSumExpStride, qStride, kStride,
                                vStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_terms_f32(float2* __restrict__ terms, const float* __restrict__ dOutput, const float* __restrict__ output,
                        const float* __restrict__ logSumExp, size_t dOutputStride, size_t outputStride,
                        size_t logSumExpStride, int tokens, int heads, int dimension)
{
    attention_terms<float, 1, 16>(terms, dOutput, output, logSumExp, dOutputStride, outputStride, logSumExpStride,
                                  tokens, heads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_terms_bf16(float2* __restrict__ terms, const bf16* __restrict__ dOutput, const bf16* __restrict__ output,
                         const float* __restrict__ logSumExp, size_t dOutputStride, size_t outputStride,
                         size_t logSumExpStride, int tokens, int heads, int dimension)
{
    attention_terms<bf16, 1, 16>(terms, dOutput, output, logSumExp, dOutputStride, outputStride, logSumExpStride,
                                 tokens, heads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_terms_bf16_d64(float2* __restrict__ terms, const bf16* __restrict__ dOutput,
                             const bf16* __restrict__ output, const float* __restrict__ logSumExp, size_t dOutputStride,
                             size_t outputStride, size_t logSumExpStride, int tokens, int heads, int dimension)
{
    attention_terms<bf16, 4, 1>(terms, dOutput, output, logSumExp, dOutputStride, outputStride, logSumExpStride, tokens,
                                heads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_terms_bf16_d128(float2* __restrict__ terms, const bf16* __restrict__ dOutput,
                              const bf16* __restrict__ output, const float* __restrict__ logSumExp,
                              size_t dOutputStride, size_t outputStride, size_t logSumExpStride, int tokens, int heads,
                              int dimension)
{
    attention_terms<bf16, 8, 1>(terms, dOutput, output, logSumExp, dOutputStride, outputStride, logSumExpStride, tokens,
                                heads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_backward_query_f32_d64(float* __restrict__ dq, const float* __restrict__ dOutput,
                                          const float* __restrict__ q, const float* __restrict__ k,
                                          const float* __restrict__ v, const float2* __restrict__ terms,
                                          const AttentionWork* __restrict__ works, size_t dqStride,
                                          size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                                          size_t termsStride, int heads, int keyHeads, int dimension)
{
    attention_rows_backward_query<float, 4>(dq, dOutput, q, k, v, terms, works, dqStride, dOutputStride, qStride,
                                            kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_backward_query_f32_d256(float* __restrict__ dq, const float* __restrict__ dOutput,
                                           const float* __restrict__ q, const float* __restrict__ k,
                                           const float* __restrict__ v, const float2* __restrict__ terms,
                                           const AttentionWork* __restrict__ works, size_t dqStride,
                                           size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                                           size_t termsStride, int heads, int keyHeads, int dimension)
{
    attention_rows_backward_query<float, 16>(dq, dOutput, q, k, v, terms, works, dqStride, dOutputStride, qStride,
                                             kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_backward_query_bf16_d64(bf16* __restrict__ dq, const bf16* __restrict__ dOutput,
                                           const bf16* __restrict__ q, const bf16* __restrict__ k,
                                           const bf16* __restrict__ v, const float2* __restrict__ terms,
                                           const AttentionWork* __restrict__ works, size_t dqStride,
                                           size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                                           size_t termsStride, int heads, int keyHeads, int dimension)
{
    attention_rows_backward_query<bf16, 4>(dq, dOutput, q, k, v, terms, works, dqStride, dOutputStride, qStride,
                                           kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads)
    attention_rows_backward_query_bf16_d256(bf16* __restrict__ dq, const bf16* __restrict__ dOutput,
                                            const bf16* __restrict__ q, const bf16* __restrict__ k,
                                            const bf16* __restrict__ v, const float2* __restrict__ terms,
                                            const AttentionWork* __restrict__ works, size_t dqStride,
                                            size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                                            size_t termsStride, int heads, int keyHeads, int dimension)
{
    attention_rows_backward_query<bf16, 16>(dq, dOutput, q, k, v, terms, works, dqStride, dOutputStride, qStride,
                                            kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads, 1)
    attention_rows_backward_key_f32_d64(float* __restrict__ dk, float* __restrict__ dv,
                                        const float* __restrict__ dOutput, const float* __restrict__ q,
                                        const float* __restrict__ k, const float* __restrict__ v,
                                        const float2* __restrict__ terms, const AttentionWork* __restrict__ works,
                                        size_t dkStride, size_t dvStride, size_t dOutputStride, size_t qStride,
                                        size_t kStride, size_t vStride, size_t termsStride, int heads, int keyHeads,
                                        int dimension)
{
    attention_rows_backward_key<float, 4>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, dOutputStride,
                                          qStride, kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads, 1)
    attention_rows_backward_key_f32_d256(float* __restrict__ dk, float* __restrict__ dv,
                                         const float* __restrict__ dOutput, const float* __restrict__ q,
                                         const float* __restrict__ k, const float* __restrict__ v,
                                         const float2* __restrict__ terms, const AttentionWork* __restrict__ works,
                                         size_t dkStride, size_t dvStride, size_t dOutputStride, size_t qStride,
                                         size_t kStride, size_t vStride, size_t termsStride, int heads, int keyHeads,
                                         int dimension)
{
    attention_rows_backward_key<float, 16>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, dOutputStride,
                                           qStride, kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads, 1)
    attention_rows_backward_key_bf16_d64(bf16* __restrict__ dk, bf16* __restrict__ dv, const bf16* __restrict__ dOutput,
                                         const bf16* __restrict__ q, const bf16* __restrict__ k,
                                         const bf16* __restrict__ v, const float2* __restrict__ terms,
                                         const AttentionWork* __restrict__ works, size_t dkStride, size_t dvStride,
                                         size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                                         size_t termsStride, int heads, int keyHeads, int dimension)
{
    attention_rows_backward_key<bf16, 4>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, dOutputStride,
                                         qStride, kStride, vStride, termsStride, heads, keyHeads, dimension);
}

extern "C" __global__ void __launch_bounds__(RowThreads, 1)
    attention_rows_backward_key_bf16_d256(bf16* __restrict__ dk, bf16* __restrict__ dv,
                                          const bf16* __restrict__ dOutput, const bf16* __restrict__ q,
                                          const bf16* __restrict__ k, const bf16* __restrict__ v,
                                          const float2* __restrict__ terms, const AttentionWork* __restrict__ works,
                                          size_t dkStride, size_t dvStride, size_t dOutputStride, size_t qStride,
                                          size_t kStride, size_t vStride, size_t termsStride, int heads, int keyHeads,
                                          int dimension)
{
    attention_rows_backward_key<bf16, 16>(dk, dv, dOutput, q, k, v, terms, works, dkStride, dvStride, dOutputStride,
                                          qStride, kStride, vStride, termsStride, heads, keyHeads, dimension);
}
