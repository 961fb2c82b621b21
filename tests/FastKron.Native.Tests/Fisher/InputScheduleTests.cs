using FastKron.Native.Fisher;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

public sealed class InputScheduleTests
{
    [Test]
    public void Create_AnyNumberOfStates_NeverNeedsMoreAndComputesEachMissingInputOnce([Values(1, 2, 5, 32, 80)] int layers, [Values(0, 0.2, 0.9)] double share)
    {
        int lowest = (int)(share * layers);
        for (int states = InputSchedule.Fewest(layers, lowest); states <= layers + 1; states++)
        {
            var schedule = new InputSchedule(layers, lowest, states);
            var live = new HashSet<int>(Enumerable.Range(lowest, layers - lowest).Where(schedule.Keeps));
            Assert.That(Enumerable.Range(0, lowest).Any(schedule.Keeps), Is.False, "blocks below the sweep");
            int recomputed = 0;
            for (int layer = layers - 1; layer >= lowest; layer--)
            {
                if (!live.Contains(layer))
                {
                    int start = schedule.StartOfGap(layer);
                    Assert.That(start == 0 || live.Contains(start - 1), "the run begins above a kept input or at the embedding");
                    for (int missing = start; missing <= layer; missing++)
                    {
                        Assert.That(live.Add(missing));
                        recomputed += missing > 0 ? 1 : 0;
                    }
                }
                Assert.That(live, Has.Count.LessThanOrEqualTo(states));
                live.Remove(layer);
            }
            Assert.That(live, Is.Empty);
            Assert.That(recomputed, Is.EqualTo(schedule.Recomputed).And.LessThanOrEqualTo(Math.Max(0, layers - lowest - states)));
        }
    }

    [TestCase(32, 0, 7)]     // 7 + 7 + 6 + … + 1 = 35
    [TestCase(35, 0, 7)]
    [TestCase(36, 0, 8)]
    [TestCase(32, 2, 8)]     // the lowest is kept, so the gaps are 7, 6, …: 8 + 28
    [TestCase(3, 2, 1)]
    public void Fewest_KnownSizes_FollowsFromTheGaps(int layers, int lowest, int expected)
    {
        Assert.That(InputSchedule.Fewest(layers, lowest), Is.EqualTo(expected));
        Assert.That(() => new InputSchedule(layers, lowest, expected - 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }
}
