namespace FastKron.Native.Codebooks;

/// <summary>Clusters of points in the plane, in float64; the result depends on neither threads nor instruction set.</summary>
internal static class KMeans
{
    // Cells of the grid on each axis.
    private const int Grid = 64;

    /// <summary>k-means++: the first centre is a point at random, each next one a point with probability ∝ its squared distance to the nearest centre.</summary>
    /// <remarks>Arthur, Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.</remarks>
    /// <param name="points">The points.</param>
    /// <param name="choices">A random word for each centre; u = (word + ½)/2³² chooses the first point whose running sum of weights exceeds u · total.</param>
    public static (double X, double Y)[] Seed(ReadOnlySpan<(double X, double Y)> points, ReadOnlySpan<uint> choices)
    {
        var centres = new (double X, double Y)[choices.Length];
        double[] weights = new double[points.Length];
        Array.Fill(weights, double.PositiveInfinity);
        centres[0] = points[(int)(Fraction(choices[0]) * points.Length)];
        for (int c = 1; c < centres.Length; c++)
        {
            double total = 0;
            for (int i = 0; i < points.Length; i++)
            {
                weights[i] = Math.Min(weights[i], SquaredDistance(points[i], centres[c - 1]));
                total += weights[i];
            }
            double threshold = Fraction(choices[c]) * total, sum = weights[0];
            int chosen = 0;
            while (sum <= threshold)
                sum += weights[++chosen];
            centres[c] = points[chosen];
        }
        return centres;
    }

    /// <summary>Lloyd's algorithm: each round moves every centre to the mean of the points nearest to it (ties: lowest centre); one without points stays.</summary>
    /// <param name="points">The points.</param>
    /// <param name="centres">Overwritten.</param>
    /// <param name="rounds">Number of rounds.</param>
    public static void Refine(ReadOnlySpan<(double X, double Y)> points, Span<(double X, double Y)> centres, int rounds)
    {
        // Points that lie close together ask the same few centres: those that are not beaten everywhere in their cell's bounding box.
        int[] order = new int[points.Length];
        int[] firsts = SortByCell(points, order);
        int[] nearest = new int[points.Length];
        int[] candidates = new int[centres.Length];
        for (int round = 0; round < rounds; round++)
        {
            for (int cell = 0; cell < Grid * Grid; cell++)
            {
                ReadOnlySpan<int> members = order.AsSpan(firsts[cell]..firsts[cell + 1]);
                int count = Candidates(points, members, centres, candidates);
                foreach (int i in members)
                    nearest[i] = Nearest(points[i], centres, candidates.AsSpan(0, count));
            }

            double[] x = new double[centres.Length], y = new double[centres.Length];
            int[] counts = new int[centres.Length];
            for (int i = 0; i < points.Length; i++)
            {
                int c = nearest[i];
                x[c] += points[i].X;
                y[c] += points[i].Y;
                counts[c]++;
            }
            for (int c = 0; c < centres.Length; c++)
            {
                if (counts[c] > 0)
                    centres[c] = (x[c] / counts[c], y[c] / counts[c]);
            }
        }
    }

    // Writes the points of each cell of a regular grid one after another; returns where each cell begins, and the end.
    private static int[] SortByCell(ReadOnlySpan<(double X, double Y)> points, Span<int> order)
    {
        var low = points[0];
        var high = points[0];
        foreach (var (x, y) in points)
        {
            low = (Math.Min(low.X, x), Math.Min(low.Y, y));
            high = (Math.Max(high.X, x), Math.Max(high.Y, y));
        }
        int[] cells = new int[points.Length], firsts = new int[Grid * Grid + 1];
        for (int i = 0; i < points.Length; i++)
        {
            cells[i] = Cell(points[i].X, low.X, high.X) * Grid + Cell(points[i].Y, low.Y, high.Y);
            firsts[cells[i] + 1]++;
        }
        for (int cell = 0; cell < Grid * Grid; cell++)
            firsts[cell + 1] += firsts[cell];
        int[] next = [.. firsts];
        for (int i = 0; i < points.Length; i++)
            order[next[cells[i]]++] = i;
        return firsts;

        static int Cell(double value, double low, double high) => Math.Min(Grid - 1, (int)((value - low) / (high - low) * Grid));
    }

    // Centres, in ascending order, that can be nearest to some point of the box around the members: no farther at their nearest corner of it than
    // the best centre is at its farthest. The margin covers rounding.
    private static int Candidates(
        ReadOnlySpan<(double X, double Y)> points, ReadOnlySpan<int> members, ReadOnlySpan<(double X, double Y)> centres, Span<int> candidates)
    {
        const double Margin = 1 + 1e-9;
        if (members.IsEmpty)
            return 0;
        var low = points[members[0]];
        var high = low;
        foreach (int i in members)
        {
            low = (Math.Min(low.X, points[i].X), Math.Min(low.Y, points[i].Y));
            high = (Math.Max(high.X, points[i].X), Math.Max(high.Y, points[i].Y));
        }
        double bound = double.PositiveInfinity;
        foreach (var (x, y) in centres)
        {
            double dx = Math.Max(Math.Abs(x - low.X), Math.Abs(x - high.X)), dy = Math.Max(Math.Abs(y - low.Y), Math.Abs(y - high.Y));
            bound = Math.Min(bound, dx * dx + dy * dy);
        }
        int count = 0;
        for (int c = 0; c < centres.Length; c++)
        {
            var inside = (Math.Clamp(centres[c].X, low.X, high.X), Math.Clamp(centres[c].Y, low.Y, high.Y));
            if (SquaredDistance(centres[c], inside) <= bound * Margin)
                candidates[count++] = c;
        }
        return count;
    }

    private static int Nearest((double X, double Y) point, ReadOnlySpan<(double X, double Y)> centres, ReadOnlySpan<int> candidates)
    {
        int nearest = candidates[0];
        double least = SquaredDistance(point, centres[nearest]);
        foreach (int c in candidates[1..])
        {
            double distance = SquaredDistance(point, centres[c]);
            if (distance < least)
                (nearest, least) = (c, distance);
        }
        return nearest;
    }

    private static double SquaredDistance((double X, double Y) a, (double X, double Y) b)
    {
        double dx = a.X - b.X, dy = a.Y - b.Y;
        return dx * dx + dy * dy;
    }

    private static double Fraction(uint word) => (word + 0.5) / 4294967296.0;
}
