using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Tests.Compute.Reference;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    private static IEnumerable<OperationCase> Rounding => [.. FeedbackCases, .. LossCases, .. PackCases, .. BalanceCases];

    // Sizes: one tile; less than a block; several blocks with a rest, so that far and near terms, and cut blocks, occur on both sides.
    private static IEnumerable<OperationCase> FeedbackCases =>
        from shape in new (int Matrices, int Rows, int Columns, bool Out, bool In)[]
        {
            (1, 16, 16, true, true), (2, 48, 112, true, true), (2, 304, 432, true, true), (1, 432, 304, true, true),
            (1, 512, 64, true, true), (2, 144, 400, false, true), (2, 400, 144, true, false), (3, 32, 48, false, false),
        }
        from layout in Enum.GetValues<TrellisLayout>()
        select Feedback(shape.Matrices, shape.Rows, shape.Columns, shape.Out, shape.In, layout);

    private static IEnumerable<OperationCase> LossCases =>
        from shape in new (int Matrices, int Rows, int Columns)[] { (1, 16, 16), (3, 32, 80), (2, 176, 144) }
        from withOut in new[] { true, false }
        from withIn in new[] { true, false }
        select LossCase(shape.Matrices, shape.Rows, shape.Columns, withOut, withIn);

    // Copies of bits: exact.
    private static IEnumerable<OperationCase> PackCases =>
        from codebook in new[]
        {
            TrellisCodes.Hybrid(2), TrellisCodes.Hybrid(3), TrellisCodes.Hybrid(4), TrellisCodes.OneMad(1), TrellisCodes.OneMad(3), TrellisCodes.OneMad(8),
        }
        from layout in codebook.Vector == 2 ? Enum.GetValues<TrellisLayout>() : [TrellisLayout.QtipPlain]
        select PackCase(codebook, layout, matrices: 2, tileRows: 4, tileColumns: 6);

    private static IEnumerable<OperationCase> BalanceCases =>
        from shape in new (int Matrices, int Rows, int Columns)[] { (1, 16, 16), (2, 200, 300), (1, 1000, 48) }
        from sweeps in new[] { 0, 1, 4 }
        select BalanceCase(shape.Matrices, shape.Rows, shape.Columns, sweeps);

    // What the tiles became is drawn at random: every anti-diagonal's targets then follow from numbers that are known beforehand.
    private static OperationCase Feedback(int matrices, int m, int n, bool withOut, bool withIn, TrellisLayout layout)
    {
        string factors = (withOut, withIn) switch { (true, true) => "both factors", (true, false) => "l_out", (false, true) => "l_in", _ => "no factor" };

        // Terms beyond the next block: operands rounded by at most 2⁻¹², so sums of some hundred of them by 1e-4 of their size at random; largest of 1e5 numbers.
        return new OperationCase("rounding", $"RoundingTargets, RoundingErrors {matrices} of {m}x{n} {factors} {layout}", 2e-3, backend =>
        {
            int tileRows = m / 16, tileColumns = n / 16, tiles = tileRows * tileColumns;
            float[] w = TrellisOperands.Normal(matrices * m * n), values = [.. TrellisOperands.Normal(matrices * m * n).Reverse()];
            float[] lOut = withOut ? BlockLower(matrices, m) : [], lIn = withIn ? BlockLower(matrices, n) : [];
            Tensor weights = backend.Allocate(DType.F32, matrices * m, n), u = backend.Allocate(DType.F32, matrices * m, n), v = backend.Allocate(DType.F32, matrices * m, n);
            Tensor? output = withOut ? backend.Allocate(DType.F32, matrices * m, m) : null, input = withIn ? backend.Allocate(DType.F32, matrices * n, n) : null;
            Tensor targets = backend.Allocate(DType.F32, matrices * tiles, 256), drawn = backend.Allocate(DType.F32, matrices * tiles, 256);
            if (output is not null)
                backend.Upload<float>(lOut, output);
            if (input is not null)
                backend.Upload<float>(lIn, input);
            backend.Upload<float>(values, drawn);
            TileDiagonal[] diagonals = [.. Diagonals(tileRows, tileColumns)];
            return new OperationRun(Execute, Error, 2.0 * m * n * ((withOut ? m : 0) + (withIn ? n : 0)) * matrices, 3 * weights.Bytes, Release);

            void Execute()
            {
                backend.Upload<float>(w, weights);
                backend.Fill(u, double.NaN);
                backend.Fill(v, double.NaN);
                var batch = new RoundingBatch(matrices, weights, u, v, output, input);
                int row = 0;
                foreach (TileDiagonal diagonal in diagonals)
                {
                    int rows = matrices * diagonal.Count;
                    backend.RoundingTargets(batch, diagonal, layout, targets.SliceRows(row, rows));
                    backend.RoundingErrors(batch, diagonal, layout, targets.SliceRows(row, rows), drawn.SliceRows(row, rows));
                    row += rows;
                }
            }

            double Error()
            {
                float[] e = [.. w];
                ForEach((item, step, at) => e[at] -= values[item * 256 + step]);
                var expected = new List<float>();
                double[][] us = new double[matrices][], vs = new double[matrices][];
                for (int b = 0; b < matrices; b++)
                {
                    ReadOnlySpan<float> errors = e.AsSpan(b * m * n, m * n);
                    us[b] = ErrorFeedback.FromRight(errors, withIn ? lIn.AsSpan(b * n * n, n * n) : [], n);
                    vs[b] = ErrorFeedback.FromBelow(errors, us[b], withOut ? lOut.AsSpan(b * m * m, m * m) : [], n);
                }
                double[] allU = [.. us.SelectMany(x => x)], allV = [.. vs.SelectMany(x => x)];
                float[] t = new float[values.Length], z = [.. allU.Zip(e, (x, y) => (float)(x + y))], s = new float[values.Length];
                ForEach((item, step, at) => t[item * 256 + step] = (float)(w[at] + allU[at] + allV[at]));
                ForEach((item, step, at) => s[at] = (float)(w[at] + allU[at] + allV[at] - values[item * 256 + step]));
                (Tensor, float[])[] pairs = [(weights, e), (u, z), (v, s), (targets, t)];
                return pairs.Max(pair => TrellisOperands.LargestError(backend, pair.Item1, pair.Item2));
            }

            // (row of targets, step of its path, element of w)
            void ForEach(Action<int, int, int> body)
            {
                byte[] order = TrellisPacking.Order(layout).ToArray();
                int item = 0;
                foreach (TileDiagonal diagonal in diagonals)
                {
                    for (int b = 0; b < matrices; b++)
                    {
                        for (int i = 0; i < diagonal.Count; i++, item++)
                        {
                            for (int step = 0; step < 256; step++)
                                body(item, step, (b * m + 16 * (diagonal.Row + i) + order[step] / 16) * n + 16 * (diagonal.Column - i) + order[step] % 16);
                        }
                    }
                }
            }

            void Release()
            {
                foreach (Tensor? tensor in new[] { weights, u, v, output, input, targets, drawn })
                    tensor?.Dispose();
            }
        });
    }

    private static OperationCase LossCase(int matrices, int m, int n, bool withOut, bool withIn) =>
        new("rounding", $"RoundingLoss {matrices} of {m}x{n}{(withOut ? " D_out" : "")}{(withIn ? " D_in" : "")}", 1e-6, backend =>
        {
            // Sums in float64, compared as float32.
            Tensor s = backend.Allocate(DType.F32, matrices * m, n), losses = backend.Allocate(DType.F64, matrices, 1);
            Tensor dOut = backend.Allocate(DType.F64, matrices * m, 16), dIn = backend.Allocate(DType.F64, matrices * n, 16);
            float[] values = TrellisOperands.Normal(matrices * m * n);
            double[] left = Blocks(matrices * m), right = Blocks(matrices * n);
            backend.Upload<float>(values, s);
            backend.Upload<double>(left, dOut);
            backend.Upload<double>(right, dIn);
            return new OperationRun(
                () => backend.RoundingLoss(s, withOut ? dOut : null, withIn ? dIn : null, losses), Error, 64.0 * s.Length, s.Bytes,
                () => TrellisOperands.Release(s, losses, dOut, dIn));

            double Error()
            {
                float[] expected = new float[matrices];
                for (int b = 0; b < matrices; b++)
                {
                    double sum = 0;
                    for (int i = 0; i < m * n; i++)
                    {
                        (int row, int column) = (b * m + i / n, i % n);
                        double ds = 0, sd = 0;
                        for (int k = 0; k < 16; k++)
                        {
                            ds += (withOut ? left[row * 16 + k] : k == row % 16 ? 1 : 0) * values[(row / 16 * 16 + k) * n + column];
                            sd += values[row * n + column / 16 * 16 + k] * (withIn ? right[(b * n + column / 16 * 16 + k) * 16 + column % 16] : k == column % 16 ? 1 : 0);
                        }
                        sum += ds * sd;
                    }
                    expected[b] = (float)sum;
                }
                return TrellisOperands.LargestError(backend, losses, expected);
            }
        });

    private static OperationCase PackCase(TrellisCodebook codebook, TrellisLayout layout, int matrices, int tileRows, int tileColumns) =>
        new("rounding", $"PackTiles {codebook.Name} K={codebook.Bits} {layout}", 0, backend =>
        {
            int tiles = tileRows * tileColumns;
            ushort[][] rings = [.. Enumerable.Range(0, matrices).Select(b => TrellisPackingTests.RandomRings(codebook, (b + 1) * tiles)[(b * tiles * codebook.Steps)..])];
            Tensor codes = backend.Allocate(DType.U16, matrices * tiles, codebook.PackedWords);
            Tensor states = backend.Allocate(DType.U16, matrices * Math.Min(tileRows, tileColumns), codebook.Steps);
            return new OperationRun(Execute, Error, 0, codes.Bytes, () => TrellisOperands.Release(codes, states));

            void Execute()
            {
                foreach (TileDiagonal diagonal in Diagonals(tileRows, tileColumns))
                {
                    IEnumerable<ushort> paths = from b in Enumerable.Range(0, matrices)
                                                from i in Enumerable.Range(0, diagonal.Count)
                                                let tile = (diagonal.Row + i) * tileColumns + diagonal.Column - i
                                                from state in rings[b].Skip(tile * codebook.Steps).Take(codebook.Steps)
                                                select state;
                    Tensor part = states.SliceRows(0, matrices * diagonal.Count);
                    backend.Upload<ushort>([.. paths], part);
                    backend.PackTiles(codebook, layout, part, diagonal, codes, tileColumns);
                }
            }

            double Error()
            {
                ushort[] actual = new ushort[codes.Length], expected = new ushort[codes.Length];
                backend.Download<ushort>(codes, actual);
                for (int b = 0; b < matrices; b++)
                {
                    TrellisPacking.Pack(
                        codebook, layout, 16 * tileRows, 16 * tileColumns, rings[b], expected.AsSpan(b * tiles * codebook.PackedWords, tiles * codebook.PackedWords));
                }
                return actual.Zip(expected).Count(pair => pair.First != pair.Second);
            }
        });

    private static OperationCase BalanceCase(int matrices, int m, int n, int sweeps) =>
        new("rounding", $"BalanceEnergy {matrices} of {m}x{n}, {sweeps} sweeps", 1e-6, backend =>
        {
            // Sums in float64, compared as float32. Unequal rows and columns, one of each zero.
            float[] values = TrellisOperands.Normal(matrices * m * n);
            for (int i = 0; i < values.Length; i++)
                values[i] *= i / n % m == 3 || i % n == 5 ? 0 : (1 + i / n % 7) * (1 + i % n % 5);
            Tensor w = backend.Allocate(DType.F32, matrices * m, n), r = backend.Allocate(DType.F64, matrices, m), c = backend.Allocate(DType.F64, matrices, n);
            backend.Upload<float>(values, w);
            return new OperationRun(() => backend.BalanceEnergy(w, sweeps, r, c), Error, 6.0 * w.Length * (sweeps + 1), w.Bytes, () => TrellisOperands.Release(w, r, c));

            double Error()
            {
                var rows = new List<float>();
                var columns = new List<float>();
                for (int b = 0; b < matrices; b++)
                {
                    double[] right = [.. Enumerable.Repeat(1.0, n)], left = new double[m];
                    for (int sweep = 0; sweep <= sweeps; sweep++)
                    {
                        double[] sums = new double[n];
                        for (int i = 0; i < m; i++)
                        {
                            ReadOnlySpan<float> row = values.AsSpan((b * m + i) * n, n);
                            left[i] = EnergyBalance.OfRow(row, right);
                            EnergyBalance.AddRow(row, left[i], sums);
                        }
                        if (sweep < sweeps)
                            right = [.. sums.Select(sum => EnergyBalance.Multiplier(sum, m))];
                    }
                    rows.AddRange(left.Select(x => (float)x));
                    columns.AddRange(right.Select(x => (float)x));
                }
                return Math.Max(TrellisOperands.LargestError(backend, r, [.. rows]), TrellisOperands.LargestError(backend, c, [.. columns]));
            }
        });

    private static IEnumerable<TileDiagonal> Diagonals(int tileRows, int tileColumns)
    {
        for (int d = tileRows + tileColumns - 2; d >= 0; d--)
        {
            int first = Math.Max(0, d - tileColumns + 1);
            yield return new TileDiagonal(first, d - first, Math.Min(tileRows - 1, d) - first + 1);
        }
    }

    // Small enough that feedback does not grow.
    private static float[] BlockLower(int matrices, int size)
    {
        float[] numbers = TrellisOperands.Normal(matrices * size * size);
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = i / size % size / 16 > i % size / 16 ? numbers[i] * 0.5f / MathF.Sqrt(size) : 0;
        return numbers;
    }

    // Symmetric and dominated by their diagonals, as D is.
    private static double[] Blocks(int rows)
    {
        float[] numbers = TrellisOperands.Normal(rows * 16);
        return [.. Enumerable.Range(0, rows * 16).Select(i => (row: i / 16, column: i % 16)).Select(p =>
            p.row % 16 == p.column ? 2.0 : 0.1 * (numbers[p.row * 16 + p.column] + numbers[(p.row / 16 * 16 + p.column) * 16 + p.row % 16]))];
    }
}
