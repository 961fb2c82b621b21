using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

// A tile pulls from the rest of its 128 × 128 block and from the next block; what comes from beyond is one product when the block's first tile is reached.
public sealed unsafe partial class CpuBackend
{
    private const int Tile = TileDiagonal.TileRows, BlockTiles = 8, RoundingBlock = BlockTiles * Tile;

    /// <summary>Rows whose squares one item sums.</summary>
    private const int BandRows = 64;

    /// <summary>Rows and columns that a tile pulls from itself, at most.</summary>
    private const int NearTerms = (2 * BlockTiles - 1) * Tile;

    /// <inheritdoc/>
    public int TilesAtOnce => Threads;

    /// <inheritdoc/>
    public void RoundingTargets(RoundingBatch stack, TileDiagonal diagonal, TrellisLayout layout, Tensor targets)
    {
        RoundingArguments.Tiles(onHost: true, stack, diagonal, targets);
        for (int matrix = 0; matrix < stack.Matrices; matrix++)
            FarFeedback(stack, matrix, diagonal.Row + diagonal.Column);
        For(stack.Matrices * diagonal.Count, item =>
        {
            (int matrix, int t) = Math.DivRem(item, diagonal.Count);
            Target(stack, matrix, diagonal.Row + t, diagonal.Column - t, layout, targets.Row<float>(item));
        });
    }

    /// <inheritdoc/>
    public void RoundingErrors(RoundingBatch stack, TileDiagonal diagonal, TrellisLayout layout, Tensor targets, Tensor values)
    {
        RoundingArguments.Tiles(onHost: true, stack, diagonal, targets, values);
        ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
        for (int item = 0; item < targets.Rows; item++)
        {
            (int matrix, int t) = Math.DivRem(item, diagonal.Count);
            nint corner = Corner(stack, matrix, diagonal.Row + t, diagonal.Column - t);
            float* w = (float*)stack.W.Address + corner, u = (float*)stack.U.Address + corner, v = (float*)stack.V.Address + corner;
            ReadOnlySpan<float> target = targets.Row<float>(item), value = values.Row<float>(item);
            for (int i = 0; i < order.Length; i++)
            {
                nint at = (nint)(order[i] / Tile) * stack.Columns + order[i] % Tile;
                w[at] -= value[i];
                u[at] += w[at];
                v[at] = target[i] - value[i];
            }
        }
    }

    /// <inheritdoc/>
    public void RoundingLoss(Tensor s, Tensor? dOut, Tensor? dIn, Tensor losses)
    {
        RoundingArguments.Loss(onHost: true, s, dOut, dIn, losses);
        int matrices = losses.Rows, tileRows = s.Rows / Tile;
        double[] parts = new double[tileRows];
        For(tileRows, row => parts[row] = TiledTrace.OfRow(s, row, dOut, dIn, row / (tileRows / matrices)));
        for (int matrix = 0; matrix < matrices; matrix++)
            losses.Row<double>(matrix)[0] = parts.AsSpan(matrix * (tileRows / matrices), tileRows / matrices).ToArray().Sum();
    }

    /// <inheritdoc/>
    public void PackTiles(TrellisCodebook codebook, TrellisLayout layout, Tensor states, TileDiagonal diagonal, Tensor codes, int tileColumns)
    {
        int matrices = TrellisArguments.PackTiles(onHost: true, codebook, layout, states, diagonal, codes, tileColumns), tiles = codes.Rows / matrices;
        for (int item = 0; item < states.Rows; item++)
        {
            (int matrix, int t) = Math.DivRem(item, diagonal.Count);
            int tile = (diagonal.Row + t) * tileColumns + diagonal.Column - t;
            TrellisPacking.PackTile(codebook, layout, tileColumns, tile, states.Row<ushort>(item), codes.SliceRows(matrix * tiles, tiles).AsSpan<ushort>());
        }
    }

    /// <inheritdoc/>
    public void BalanceEnergy(Tensor w, int sweeps, Tensor r, Tensor c)
    {
        RoundingArguments.Balance(onHost: true, w, sweeps, r, c);
        int matrices = r.Rows, m = r.Columns, n = c.Columns, bands = (m + BandRows - 1) / BandRows;
        double[] sums = new double[bands * n];
        for (int matrix = 0; matrix < matrices; matrix++)
        {
            Tensor x = w.SliceRows(matrix * m, m);
            c.Row<double>(matrix).Fill(1);
            for (int sweep = 0; sweep <= sweeps; sweep++)
            {
                int b = matrix;
                bool last = sweep == sweeps;
                For(bands, band =>
                {
                    Span<double> part = sums.AsSpan(band * n, n);
                    part.Clear();
                    for (int i = band * BandRows; i < Math.Min(m, (band + 1) * BandRows); i++)
                    {
                        double multiplier = EnergyBalance.OfRow(x.Row<float>(i), c.Row<double>(b));
                        r.Row<double>(b)[i] = multiplier;
                        if (!last)
                            EnergyBalance.AddRow(x.Row<float>(i), multiplier, part);
                    }
                });
                if (last)
                    break;
                Span<double> multipliers = c.Row<double>(matrix);
                for (int j = 0; j < n; j++)
                {
                    double sum = 0;
                    for (int band = 0; band < bands; band++)
                        sum += sums[band * n + j];
                    multipliers[j] = EnergyBalance.Multiplier(sum, m);
                }
            }
        }
    }

    // U and V of the blocks whose last tile, the first to be rounded, lies on a diagonal.
    private void FarFeedback(RoundingBatch stack, int matrix, int diagonal)
    {
        int m = stack.Rows, n = stack.Columns;
        Tensor e = stack.W.SliceRows(matrix * m, m), z = stack.U.SliceRows(matrix * m, m), v = stack.V.SliceRows(matrix * m, m);
        for (int row = 0; row < m; row += RoundingBlock)
        {
            int height = Math.Min(RoundingBlock, m - row), last = diagonal - ((row + height) / Tile - 1);
            if (last < 0 || last >= n / Tile || (last != n / Tile - 1 && last % BlockTiles != BlockTiles - 1))
                continue;
            int column = last / BlockTiles * RoundingBlock, width = Math.Min(RoundingBlock, n - column);
            if (stack.LIn is { } lIn)
            {
                int first = Math.Min(n, column + 2 * RoundingBlock);
                MatMul(e.Slice(row, height, first, n - first), false, lIn.Slice(matrix * n + first, n - first, column, width), false, z.Slice(row, height, column, width));
            }
            if (stack.LOut is { } lOut)
            {
                int first = Math.Min(m, row + 2 * RoundingBlock);
                MatMul(lOut.Slice(matrix * m + first, m - first, row, height), true, z.Slice(first, m - first, column, width), false, v.Slice(row, height, column, width));
            }
        }
    }

    [SkipLocalsInit]
    private static void Target(RoundingBatch stack, int matrix, int row, int column, TrellisLayout layout, Span<float> target)
    {
        int n = stack.Columns;
        nint corner = Corner(stack, matrix, row, column);
        float* w = (float*)stack.W.Address + corner, u = (float*)stack.U.Address + corner, v = (float*)stack.V.Address + corner;
        float* left = stackalloc float[NearTerms * Tile], right = stackalloc float[NearTerms * Tile], below = stackalloc float[TrellisCodebook.TileSize];
        new Span<float>(below, TrellisCodebook.TileSize).Clear();
        if (stack.LIn is { } lIn)
        {
            int terms = Terms(column, n);
            for (int r = 0; r < Tile; r++)
            {
                for (int k = 0; k < terms; k++)
                    left[k * Tile + r] = w[r * (nint)n + Tile + k];
            }
            CopyPanel((float*)lIn.Address + ((nint)(matrix * n + (column + 1) * Tile) * n) + column * Tile, n, terms, right);
            AddProduct(left, right, terms, u, n);
        }
        else
        {
            for (int r = 0; r < Tile; r++)
                new Span<float>(u + r * (nint)n, Tile).Clear();
        }
        if (stack.LOut is { } lOut)
        {
            int m = stack.Rows, terms = Terms(row, m);
            CopyPanel((float*)lOut.Address + ((nint)(matrix * m + (row + 1) * Tile) * m) + row * Tile, m, terms, left);
            CopyPanel(u + Tile * (nint)n, n, terms, right);
            for (int r = 0; r < Tile; r++)
                new ReadOnlySpan<float>(v + r * (nint)n, Tile).CopyTo(new Span<float>(below + r * Tile, Tile));
            AddProduct(left, right, terms, below, Tile);
        }
        ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
        for (int i = 0; i < order.Length; i++)
        {
            nint at = (nint)(order[i] / Tile) * n + order[i] % Tile;
            target[i] = w[at] + u[at] + below[order[i]];
        }
    }

    /// <summary>Rows or columns behind a tile to the end of the next block.</summary>
    private static int Terms(int tile, int size) => Math.Min(size, (tile / BlockTiles + 2) * RoundingBlock) - (tile + 1) * Tile;

    private static void CopyPanel(float* source, nint stride, int rows, float* panel)
    {
        for (int k = 0; k < rows; k++)
            new ReadOnlySpan<float>(source + k * stride, Tile).CopyTo(new Span<float>(panel + k * Tile, Tile));
    }

    /// <summary>sums (16, 16) += leftᵀ · right, both (terms, 16) without gaps.</summary>
    private static void AddProduct(float* left, float* right, int terms, float* sums, nint stride)
    {
        for (int r = 0; r < Tile; r += 2, sums += 2 * stride)
        {
            Vector256<float> a0 = Vector256.Load(sums), a1 = Vector256.Load(sums + 8), b0 = Vector256.Load(sums + stride), b1 = Vector256.Load(sums + stride + 8);
            for (int k = 0; k < terms; k++)
            {
                Vector256<float> x = Vector256.Create(left[k * Tile + r]), y = Vector256.Create(left[k * Tile + r + 1]);
                Vector256<float> low = Vector256.Load(right + k * Tile), high = Vector256.Load(right + k * Tile + 8);
                a0 = Vector256.MultiplyAddEstimate(x, low, a0);
                a1 = Vector256.MultiplyAddEstimate(x, high, a1);
                b0 = Vector256.MultiplyAddEstimate(y, low, b0);
                b1 = Vector256.MultiplyAddEstimate(y, high, b1);
            }
            a0.Store(sums);
            a1.Store(sums + 8);
            b0.Store(sums + stride);
            b1.Store(sums + stride + 8);
        }
    }

    /// <summary>Elements before the first one of a tile.</summary>
    private static nint Corner(RoundingBatch stack, int matrix, int row, int column) => ((nint)matrix * stack.Rows + row * Tile) * stack.Columns + column * Tile;
}
