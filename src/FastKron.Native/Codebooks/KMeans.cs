namespace FastKron.Native.Codebooks;

/// <summary>Clusters of points in the plane, in float64; the result depends on neither threads nor instruction set.</summary>
internal static class KMeans
{
    // Cells of the grid on each axis.
    private const int Grid = 64;

    /// <summary>Lloyd's algorithm: each round moves every centre to the mean of the points nearest to it (ties: lowest centre); one without points stays.</summary>
    /// <remarks>Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28 (1982).</remarks>
    /// <param name="points">The points. Means are summed cell by cell of a 64 × 64 grid over their bounding box, rows along x, each cell in the given order.</param>
    /// <param name="centres">Overwritten.</param>
    /// <param name="rounds">Number of rounds.</param>
    public static void Refine(ReadOnlySpan<(double X, double Y)> points, Span<(double X, double Y)> centres, int rounds)
    {
        // Points of a cell ask only the centres that are not beaten everywhere in the box around them.
        var sorted = new (double X, double Y)[points.Length];
        int[] firsts = SortByCell(points, sorted);
        var boxes = new Box[Grid * Grid];
        for (int cell = 0; cell < boxes.Length; cell++)
            boxes[cell] = Box.Around(sorted.AsSpan(firsts[cell]..firsts[cell + 1]));

        int[] candidates = new int[centres.Length];
        var sums = new (double X, double Y, int Count)[centres.Length];
        for (int round = 0; round < rounds; round++)
        {
            Array.Clear(sums);
            for (int cell = 0; cell < boxes.Length; cell++)
            {
                int count = Candidates(boxes[cell], centres, candidates);
                AddToNearest(sorted.AsSpan(firsts[cell]..firsts[cell + 1]), centres, candidates.AsSpan(0, count), sums);
            }
            for (int c = 0; c < centres.Length; c++)
            {
                if (sums[c].Count > 0)
                    centres[c] = (sums[c].X / sums[c].Count, sums[c].Y / sums[c].Count);
            }
        }
    }

    // Writes the points of each cell one after another; returns where each cell begins, and the end.
    private static int[] SortByCell(ReadOnlySpan<(double X, double Y)> points, Span<(double X, double Y)> sorted)
    {
        Box box = Box.Around(points);
        int[] cells = new int[points.Length], firsts = new int[Grid * Grid + 1];
        for (int i = 0; i < points.Length; i++)
        {
            cells[i] = Cell(points[i].X, box.LowX, box.HighX) * Grid + Cell(points[i].Y, box.LowY, box.HighY);
            firsts[cells[i] + 1]++;
        }
        for (int cell = 0; cell < Grid * Grid; cell++)
            firsts[cell + 1] += firsts[cell];
        int[] next = [.. firsts];
        for (int i = 0; i < points.Length; i++)
            sorted[next[cells[i]]++] = points[i];
        return firsts;

        static int Cell(double value, double low, double high) => Math.Min(Grid - 1, (int)((value - low) / (high - low) * Grid));
    }

    // Centres, in ascending order, that can be nearest to some point of the box: no farther from its nearest corner or edge than the best centre is
    // from its farthest corner. The margin covers rounding.
    private static int Candidates(in Box box, ReadOnlySpan<(double X, double Y)> centres, Span<int> candidates)
    {
        const double Margin = 1 + 1e-9;
        double bound = double.PositiveInfinity;
        foreach (var (x, y) in centres)
        {
            double dx = Math.Max(x - box.LowX, box.HighX - x), dy = Math.Max(y - box.LowY, box.HighY - y);
            bound = Math.Min(bound, dx * dx + dy * dy);
        }
        int count = 0;
        for (int c = 0; c < centres.Length; c++)
        {
            var (x, y) = centres[c];
            double dx = Math.Max(0, Math.Max(box.LowX - x, x - box.HighX)), dy = Math.Max(0, Math.Max(box.LowY - y, y - box.HighY));
            if (dx * dx + dy * dy <= bound * Margin)
                candidates[count++] = c;
        }
        return count;
    }

    private static void AddToNearest(
        ReadOnlySpan<(double X, double Y)> points, ReadOnlySpan<(double X, double Y)> centres, ReadOnlySpan<int> candidates,
        Span<(double X, double Y, int Count)> sums)
    {
        foreach (var (x, y) in points)
        {
            double least = double.PositiveInfinity;
            int nearest = 0;
            foreach (int c in candidates)
            {
                double distance = SquaredDistance((x, y), centres[c]);
                if (distance < least)
                {
                    least = distance;
                    nearest = c;
                }
            }
            sums[nearest].X += x;
            sums[nearest].Y += y;
            sums[nearest].Count++;
        }
    }

    private static double SquaredDistance((double X, double Y) a, (double X, double Y) b)
    {
        double dx = a.X - b.X, dy = a.Y - b.Y;
        return dx * dx + dy * dy;
    }

    private readonly record struct Box(double LowX, double HighX, double LowY, double HighY)
    {
        public static Box Around(ReadOnlySpan<(double X, double Y)> points)
        {
            var box = new Box(double.PositiveInfinity, double.NegativeInfinity, double.PositiveInfinity, double.NegativeInfinity);
            foreach (var (x, y) in points)
                box = new Box(Math.Min(box.LowX, x), Math.Max(box.HighX, x), Math.Min(box.LowY, y), Math.Max(box.HighY, y));
            return box;
        }
    }
}
