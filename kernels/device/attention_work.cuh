// A tile of one sequence, as GpuBackend.Attention.cs lists them: query i of the tile sees key j of it if j <= i +
// diagonal.
#pragma once

struct AttentionWork
{
    int queryRow; // first query, row of the batch
    int queries;
    int keyRow; // first key, row of the cache
    int keys;
    int diagonal;
};
