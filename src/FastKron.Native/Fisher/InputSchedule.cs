namespace FastKron.Native.Fisher;

/// <summary>Which blocks' inputs a forward pass keeps, so that a sweep from the last block down finds room to compute the others again, each once.</summary>
/// <remarks>
/// With S states the blocks below the k-th kept one from the top may be missing k inputs: as many states as are free by then. So S states serve up
/// to S(S + 3)/2 blocks, and a block's input that is not kept costs one forward pass of a block, however they are placed. The input of block 0 is
/// the embedding, which needs no state below it.
/// </remarks>
internal sealed class InputSchedule
{
    private readonly bool[] _kept;
    private readonly int _lowest;

    /// <summary>Places <paramref name="states"/> states.</summary>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="lowest">The sweep ends with this block.</param>
    /// <param name="states">At least <see cref="Fewest"/>; more than there are blocks to sweep are not used.</param>
    public InputSchedule(int layers, int lowest, int states)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(states, Fewest(layers, lowest));
        (_kept, _lowest) = (new bool[layers], lowest);
        int missing = Math.Max(0, layers - lowest - states), free = states, layer = lowest;
        if (lowest > 0)
            Keep();
        while (missing > 0)
        {
            int gap = Math.Min(missing, free);
            missing -= gap;
            layer += gap;
            Keep();
        }
        Array.Fill(_kept, true, layer, layers - layer);

        void Keep()
        {
            _kept[layer++] = true;
            free--;
        }
    }

    /// <summary>Whether the forward pass keeps the input of a block.</summary>
    public bool Keeps(int layer) => _kept[layer];

    /// <summary>First block of the run of missing inputs that ends with <paramref name="layer"/>; the block below it, if any, is kept.</summary>
    public int StartOfGap(int layer)
    {
        while (layer > _lowest && !_kept[layer - 1])
            layer--;
        return layer;
    }

    /// <summary>Forward passes of one block that recomputation takes.</summary>
    public int Recomputed => Enumerable.Range(_lowest, _kept.Length - _lowest).Count(layer => layer > 0 && !_kept[layer]);

    /// <summary>Fewest states that can serve a sweep.</summary>
    public static int Fewest(int layers, int lowest)
    {
        int blocks = layers - lowest, states = 1;
        while (states + states * (states + (lowest > 0 ? -1 : 1)) / 2 < blocks)
            states++;
        return states;
    }
}
