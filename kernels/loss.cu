// Rows of logits z (vocabulary up to 2^31 - 1), one block a row:
// cross_entropy            loss[t] = ln sum_v exp(z[t,v]) - z[t,label]; 0 where label < 0.
// cross_entropy_backward   z[t,v] = scale (softmax(z[t])[v] - [v == label]), in place; 0 where label < 0.
// sample_labels            label[t] = argmax_v z[t,v] + gumbel_noise(Philox word v of item firstToken + t), lowest v
//                          on ties; -1 if z[t] holds NaN or no number above -infinity.
// compare_logits           the columns of LogitStatistics for p = softmax(reference[t]), q = softmax(candidate[t]).
// A label not below columns gives a loss, or a row of gradients, of NaN.
// Shapes    z, reference, candidate (rows, columns); labels, losses (rows); statistics (rows, 6) f32; row-major, rows a
//           stride of elements apart.
// Launch    grid (rows), block (512). aligned: addresses and strides of the logits are multiples of 16 bytes, and
//           columns % 8 == 0 (sample_labels: any columns).
// Numerics  exponentials in f32 with the maximum subtracted, within 1 ulp; sums of up to eight of them in f32, sums of
//           those in f64. Draws bit for bit as Reference/LabelSampling.cs.
#include "device/exponential.cuh"
#include "device/philox.cuh"
#include "device/reduce.cuh"
#include "device/types.cuh"

constexpr int LossThreads = 512;
constexpr int WordsPerDraw = 4;
constexpr float Infinity = __builtin_huge_valf();

// Columns of LogitStatistics.
enum Statistic { Divergence, ReverseDivergence, ReferenceLoss, CandidateLoss, TopAgreement, TopFiveHit };

// A number and its place; the larger number, then the lower place, comes first.
struct Ranked
{
    float value;
    int index;
};

constexpr int NoIndex = 0x7fffffff;

__device__ __forceinline__ Ranked first_of(Ranked a, Ranked b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

__device__ __forceinline__ Ranked block_first(Ranked ranked)
{
    __shared__ Ranked partial[LossThreads / WarpSize];
#pragma unroll
    for (int offset = WarpSize / 2; offset > 0; offset /= 2)
        ranked = first_of(ranked, {__shfl_xor_sync(FullWarp, ranked.value, offset),
                                   __shfl_xor_sync(FullWarp, ranked.index, offset)});
    __syncthreads();
    if (threadIdx.x % WarpSize == 0)
        partial[threadIdx.x / WarpSize] = ranked;
    __syncthreads();
    ranked = partial[0];
#pragma unroll
    for (int warp = 1; warp < LossThreads / WarpSize; warp++)
        ranked = first_of(ranked, partial[warp]);
    return ranked;
}

// Maximum and sum of exp(z - maximum) over a row.
struct RowSum
{
    float maximum;
    double sum;
};

// One pass: a thread's sum is scaled down whenever its maximum grows. NaN anywhere, or nothing above -infinity, makes
// the sum NaN.
template <int N, typename T> __device__ __forceinline__ RowSum row_sum(const T* z, int columns)
{
    float maximum = -Infinity;
    double sum = 0;
    for (size_t c = static_cast<size_t>(threadIdx.x) * N; c < columns; c += LossThreads * N)
    {
        Pack<T, N> pack = load_pack<N>(z + c);
        float largest = convert<float>(pack.values[0]);
#pragma unroll
        for (int i = 1; i < N; i++)
            largest = fmaxf(largest, convert<float>(pack.values[i]));
        if (largest > maximum)
        {
            sum *= exp_nonpositive(maximum - largest);
            maximum = largest;
        }
        float origin = maximum == -Infinity ? 0.0f : maximum, part = 0;
#pragma unroll
        for (int i = 0; i < N; i++)
            part += exp_nonpositive(convert<float>(pack.values[i]) - origin);
        sum += part;
    }
    float rowMaximum = block_max<LossThreads>(maximum);
    return {rowMaximum, block_sum<LossThreads>(sum * exp_nonpositive(maximum - rowMaximum))};
}

// -ln softmax(z)[label]; 0 without a label.
template <typename T> __device__ __forceinline__ float row_loss(RowSum row, const T* z, int label, int columns)
{
    if (label < 0)
        return 0;
    double chosen = label < columns ? convert<double>(z[label]) : __longlong_as_double(0x7ff8000000000000);
    return static_cast<float>(log(row.sum) + (row.maximum - chosen));
}

template <typename T>
__device__ __forceinline__ void cross_entropy(float* losses, const T* logits, const int* labels, size_t stride,
                                              int columns, int aligned)
{
    int label = labels[blockIdx.x];
    if (label < 0)
    {
        if (threadIdx.x == 0)
            losses[blockIdx.x] = 0;
        return;
    }
    const T* z = logits + blockIdx.x * stride;
    RowSum row = aligned ? row_sum<16 / sizeof(T)>(z, columns) : row_sum<1>(z, columns);
    if (threadIdx.x == 0)
        losses[blockIdx.x] = row_loss(row, z, label, columns);
}

template <int N, typename T> __device__ __forceinline__ void write_gradients(T* z, int columns, int label, float scale)
{
    if (label < 0)
    {
        Pack<T, N> zeros;
#pragma unroll
        for (int i = 0; i < N; i++)
            zeros.values[i] = convert<T>(0.0f);
        for (size_t c = static_cast<size_t>(threadIdx.x) * N; c < columns; c += LossThreads * N)
            store_pack(z + c, zeros);
        return;
    }
    RowSum row = row_sum<N>(z, columns);
    float factor = label < columns ? static_cast<float>(scale / row.sum) : __int_as_float(0x7fc00000);
    for (size_t c = static_cast<size_t>(threadIdx.x) * N; c < columns; c += LossThreads * N)
    {
        Pack<T, N> pack = load_pack<N>(z + c);
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            float gradient = factor * exp_nonpositive(convert<float>(pack.values[i]) - row.maximum);
            pack.values[i] = convert<T>(c + i == label ? gradient - scale : gradient);
        }
        store_pack(z + c, pack);
    }
}

template <typename T>
__device__ __forceinline__ void cross_entropy_backward(T* logits, const int* labels, size_t stride, int columns,
                                                       float scale, int aligned)
{
    int label = labels[blockIdx.x];
    T* z = logits + blockIdx.x * stride;
    if (aligned)
        write_gradients<16 / sizeof(T)>(z, columns, label, scale);
    else
        write_gradients<1>(z, columns, label, scale);
}

template <typename T>
__device__ __forceinline__ void sample_labels(int* labels, const T* logits, size_t stride, int columns,
                                              unsigned long long seed, unsigned stream, unsigned firstToken,
                                              int aligned)
{
    const T* z = logits + blockIdx.x * stride;
    Ranked best = {-Infinity, NoIndex};
    bool bad = false;
    for (unsigned c = threadIdx.x * WordsPerDraw; c < columns; c += LossThreads * WordsPerDraw)
    {
        Pack<T, WordsPerDraw> pack;
        if (aligned && c + WordsPerDraw <= columns)
        {
            pack = load_pack<WordsPerDraw>(z + c);
        }
        else
        {
#pragma unroll
            for (int i = 0; i < WordsPerDraw; i++)
                pack.values[i] = c + i < columns ? z[c + i] : convert<T>(-Infinity);
        }
        uint4 words = philox_words(seed, c / WordsPerDraw, stream, firstToken + blockIdx.x);
        const unsigned word[WordsPerDraw] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int i = 0; i < WordsPerDraw; i++)
        {
            float score = __fadd_rn(convert<float>(pack.values[i]), gumbel_noise(word[i]));
            bad |= score != score;
            if (score > best.value)
                best = {score, static_cast<int>(c + i)};
        }
    }
    bad = __syncthreads_or(bad);
    best = block_first(best);
    if (threadIdx.x == 0)
        labels[blockIdx.x] = bad || best.value == -Infinity ? -1 : best.index;
}

// Elements of both rows that a thread compares at a time; with eight, registers spill.
constexpr int ComparedPack = 4;

// p d, and 0 where p is 0 even if d is infinite or NaN.
__device__ __forceinline__ float weighted(float p, float d)
{
    return p == 0.0f ? 0.0f : p * d;
}

// With A = a - max a, B = b - max b: KL(p || q) = sum e^A (A - B) / sum e^A - ln(sum e^A / sum e^B); exactly 0 for
// equal rows.
template <int N, typename T>
__device__ __forceinline__ void compare_rows(float* statistics, const T* reference, const T* candidate, int label,
                                             int columns)
{
    Ranked referenceTop = {-Infinity, NoIndex}, candidateTop = referenceTop;
    bool bad = false;
    for (size_t c = static_cast<size_t>(threadIdx.x) * N; c < columns; c += LossThreads * N)
    {
        Pack<T, N> as = load_pack<N>(reference + c), bs = load_pack<N>(candidate + c);
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            float a = convert<float>(as.values[i]), b = convert<float>(bs.values[i]);
            referenceTop = first_of(referenceTop, {a, static_cast<int>(c + i)});
            candidateTop = first_of(candidateTop, {b, static_cast<int>(c + i)});
            bad |= a != a || b != b;
        }
    }
    bool ranked = !__syncthreads_or(bad);
    referenceTop = block_first(referenceTop);
    candidateTop = block_first(candidateTop);
    float bound = ranked ? convert<float>(candidate[referenceTop.index]) : 0.0f;

    double referenceSum = 0, candidateSum = 0, forward = 0, reverse = 0;
    int ahead = 0;
    for (size_t c = static_cast<size_t>(threadIdx.x) * N; c < columns; c += LossThreads * N)
    {
        Pack<T, N> as = load_pack<N>(reference + c), bs = load_pack<N>(candidate + c);
        float p = 0, q = 0, pd = 0, qd = 0;
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            float value = convert<float>(bs.values[i]);
            float a = convert<float>(as.values[i]) - referenceTop.value, b = value - candidateTop.value;
            float ea = exp_nonpositive(a), eb = exp_nonpositive(b);
            p += ea;
            q += eb;
            pd += weighted(ea, a - b);
            qd += weighted(eb, b - a);
            ahead += value > bound || (value == bound && static_cast<int>(c + i) < referenceTop.index);
        }
        referenceSum += p;
        candidateSum += q;
        forward += pd;
        reverse += qd;
    }
    referenceSum = block_sum<LossThreads>(referenceSum);
    candidateSum = block_sum<LossThreads>(candidateSum);
    forward = block_sum<LossThreads>(forward);
    reverse = block_sum<LossThreads>(reverse);
    ahead = block_sum<LossThreads>(ahead);
    if (threadIdx.x != 0)
        return;

    double logRatio = log(referenceSum / candidateSum);
    statistics[Divergence] = static_cast<float>(forward / referenceSum - logRatio);
    statistics[ReverseDivergence] = static_cast<float>(reverse / candidateSum + logRatio);
    statistics[ReferenceLoss] = row_loss({referenceTop.value, referenceSum}, reference, label, columns);
    statistics[CandidateLoss] = row_loss({candidateTop.value, candidateSum}, candidate, label, columns);
    statistics[TopAgreement] = ranked && referenceTop.index == candidateTop.index ? 1.0f : 0.0f;
    statistics[TopFiveHit] = ranked && ahead < 5 ? 1.0f : 0.0f;
}

template <typename T>
__device__ __forceinline__ void compare_logits(float* statistics, const T* reference, const T* candidate,
                                               const int* labels, size_t statisticsStride, size_t referenceStride,
                                               size_t candidateStride, int columns, int aligned)
{
    size_t row = blockIdx.x;
    statistics += row * statisticsStride;
    reference += row * referenceStride;
    candidate += row * candidateStride;
    if (aligned)
        compare_rows<ComparedPack>(statistics, reference, candidate, labels[row], columns);
    else
        compare_rows<1>(statistics, reference, candidate, labels[row], columns);
}

#define LOSS_KERNELS(SUFFIX, T)                                                                                        \
    extern "C" __global__ void __launch_bounds__(LossThreads)                                                          \
        cross_entropy_##SUFFIX(float* __restrict__ losses, const T* __restrict__ logits,                               \
                               const int* __restrict__ labels, size_t stride, int columns, int aligned)                \
    {                                                                                                                  \
        cross_entropy(losses, logits, labels, stride, columns, aligned);                                               \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(LossThreads)                                                          \
        cross_entropy_backward_##SUFFIX(T* __restrict__ logits, const int* __restrict__ labels, size_t stride,         \
                                        int columns, float scale, int aligned)                                         \
    {                                                                                                                  \
        cross_entropy_backward(logits, labels, stride, columns, scale, aligned);                                       \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(LossThreads)                                                          \
        sample_labels_##SUFFIX(int* __restrict__ labels, const T* __restrict__ logits, size_t stride, int columns,     \
                               unsigned long long seed, unsigned stream, unsigned firstToken, int aligned)             \
    {                                                                                                                  \
        sample_labels(labels, logits, stride, columns, seed, stream, firstToken, aligned);                             \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(LossThreads) compare_logits_##SUFFIX(                                 \
        float* __restrict__ statistics, const T* __restrict__ reference, const T* __restrict__ candidate,              \
        const int* __restrict__ labels, size_t statisticsStride, size_t referenceStride, size_t candidateStride,       \
        int columns, int aligned)                                                                                      \
    {                                                                                                                  \
        compare_logits(statistics, reference, candidate, labels, statisticsStride, referenceStride, candidateStride,   \
                       columns, aligned);                                                                              \
    }

LOSS_KERNELS(f32, float)
LOSS_KERNELS(bf16, bf16)
