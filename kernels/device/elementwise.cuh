// Walks the elements of row-major matrices whose rows may lie apart, 16 bytes at a time where alignment allows.
#pragma once

#include "types.cuh"

constexpr int ElementwiseThreads = 256;
constexpr int ElementwiseBlocks = 4;    // On a multiprocessor, at least; left to itself, ptxas aims at 8 and spills.
constexpr int ThreadElements = 8;       // Of a row.

// Elements that a thread handles at once: 16 bytes of the widest type, so that threads side by side write whole sectors.
template <typename A, typename B = A> constexpr int PackElements = 16 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));

// Block (x, y), x * y = ElementwiseThreads: x threads side by side own x * ThreadElements columns, y threads own rows.
// Grid (column tiles, row tiles): rows beyond the grid are reached by striding.
// packs(row, column) handles N columns from an aligned one, elements(row, column) one element.
template <int N, typename Packs, typename Elements>
__device__ __forceinline__ void for_each_element(size_t rows, size_t columns, int aligned, Packs packs,
                                                 Elements elements)
{
    size_t start = static_cast<size_t>(blockIdx.x) * blockDim.x * ThreadElements;
    size_t step = static_cast<size_t>(gridDim.y) * blockDim.y;
    for (size_t row = static_cast<size_t>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows; row += step)
    {
        if (aligned)
        {
#pragma unroll
            for (int i = 0; i < ThreadElements / N; i++)
            {
                size_t first = start + (i * blockDim.x + threadIdx.x) * N;
                if (first + N <= columns)
                    packs(row, first);
                else
#pragma unroll 1
                    for (size_t column = first; column < columns; column++)
                        elements(row, column);
            }
            continue;
        }
#pragma unroll
        for (int i = 0; i < ThreadElements; i++)
        {
            size_t column = start + i * blockDim.x + threadIdx.x;
            if (column < columns)
                elements(row, column);
        }
    }
}
