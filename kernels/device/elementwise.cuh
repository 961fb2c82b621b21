// Walks the elements of row-major matrices whose rows may lie apart, 16 bytes at a time where alignment allows.
#pragma once

#include "types.cuh"

constexpr int ElementwiseThreads = 256;
constexpr int ElementwiseBlocks = 4;    // On a multiprocessor, at least; left to itself, ptxas aims at 8 and spills.
constexpr int PackElements = 8;

// Block (x, y), x * y = ElementwiseThreads: x threads side by side own x * PackElements columns, y threads own rows.
// Grid (column tiles, row tiles): rows beyond the grid are reached by striding.
// packs(row, column) handles PackElements columns from an aligned one, elements(row, column) one element.
template <typename Packs, typename Elements>
__device__ __forceinline__ void for_each_element(size_t rows, size_t columns, int aligned, Packs packs,
                                                 Elements elements)
{
    size_t width = static_cast<size_t>(blockDim.x) * PackElements, start = blockIdx.x * width;
    size_t first = start + threadIdx.x * PackElements, step = static_cast<size_t>(gridDim.y) * blockDim.y;
    for (size_t row = static_cast<size_t>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows; row += step)
    {
        if (aligned)
        {
            if (first + PackElements <= columns)
                packs(row, first);
            else
                for (size_t column = first; column < columns; column++)
                    elements(row, column);
            continue;
        }
#pragma unroll
        for (int i = 0; i < PackElements; i++)
        {
            size_t column = start + static_cast<size_t>(i) * blockDim.x + threadIdx.x;
            if (column < columns)
                elements(row, column);
        }
    }
}
