using FastKron.Native.Codebooks;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Codebooks;

public sealed class KMeansTests
{
    [Test]
    public void Refine_RandomPoints_EqualsThePlainAlgorithm()
    {
        (double X, double Y)[] points = [.. Enumerable.Range(0, 5000).Select(i => (Normal(2 * i), Normal(2 * i + 1)))];
        (double X, double Y)[] expected = [.. points[..40]], actual = [.. points[..40]];
        for (int round = 0; round < 12; round++)
        {
            var members = points.ToLookup(p => Array.IndexOf(expected, expected.MinBy(c => (p.X - c.X) * (p.X - c.X) + (p.Y - c.Y) * (p.Y - c.Y))));
            for (int c = 0; c < expected.Length; c++)
                expected[c] = (members[c].Average(p => p.X), members[c].Average(p => p.Y));
        }
        KMeans.Refine(points, actual, rounds: 12);

        // The same points in each cluster; sums of some hundred numbers in another order.
        Assert.That(actual.Select(c => c.X), Is.EqualTo(expected.Select(c => c.X)).Within(1e-13));
        Assert.That(actual.Select(c => c.Y), Is.EqualTo(expected.Select(c => c.Y)).Within(1e-13));
    }

    [Test]
    public void Refine_CentreWithoutPoints_Stays()
    {
        (double, double)[] centres = [(0, 0), (50, 50), (0, 0)];
        KMeans.Refine([(1, 1), (3, 5)], centres, rounds: 1);
        Assert.That(centres, Is.EqualTo(new[] { (2.0, 3.0), (50.0, 50.0), (0.0, 0.0) }));
    }

    private static double Normal(int i)
    {
        float[] value = new float[1];
        Philox.Normal(seed: 2, RandomPurpose.Test, (uint)i, value);
        return value[0];
    }
}
