using FastKron.Native.Compute.Cpu;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

public sealed class WorkerThreadsTests
{
    [Test]
    public void For_ManyCallsOfAnyLength_RunsEveryItemOnce([Values(1, 2, 8)] int threads)
    {
        int[] runs = new int[100];
        for (int call = 0; call < 2000; call++)
        {
            int count = call % runs.Length + 1;
            Array.Clear(runs);
            WorkerThreads.For(threads, count, i => Interlocked.Increment(ref runs[i]));
            Assert.That(runs.AsSpan(0, count).IndexOfAnyExcept(1), Is.EqualTo(-1));
            Assert.That(runs.AsSpan(count).IndexOfAnyExcept(0), Is.EqualTo(-1));
        }
    }

    [Test]
    public void For_TwoThreadsAsked_OtherThreadsHelpWhenThereAreProcessors()
    {
        if (Environment.ProcessorCount == 1)
            Assert.Ignore("one processor");

        // The first item ends only when another thread has run the second.
        using ManualResetEventSlim second = new();
        bool helped = false;
        WorkerThreads.For(2, 2, i =>
        {
            if (i == 0)
                helped = second.Wait(TimeSpan.FromSeconds(30));
            else
                second.Set();
        });
        Assert.That(helped);
    }

    [Test]
    public void For_AfterAllThreadsSleep_WakesThem()
    {
        int sum = 0;
        for (int call = 0; call < 5; call++)
        {
            Thread.Sleep(20);
            WorkerThreads.For(4, 10, i => Interlocked.Add(ref sum, i));
        }
        Assert.That(sum, Is.EqualTo(5 * 45));
    }

    [Test]
    public void For_BodyThrows_ThrowsTheSameExceptionAndServesTheNextCall()
    {
        Assert.That(
            () => WorkerThreads.For(2, 50, i => _ = i == 20 ? throw new InvalidDataException("item 20") : i),
            Throws.TypeOf<InvalidDataException>().With.Message.EqualTo("item 20"));
        int sum = 0;
        WorkerThreads.For(2, 10, i => Interlocked.Add(ref sum, i));
        Assert.That(sum, Is.EqualTo(45));
    }

    [Test]
    public void For_CalledFromABodyAndFromOtherThreads_RunsEveryItemOnce()
    {
        int sum = 0;
        Thread[] callers = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            for (int call = 0; call < 200; call++)
                WorkerThreads.For(2, 5, i => WorkerThreads.For(2, 5, j => Interlocked.Add(ref sum, i * j)));
        }))];
        Array.ForEach(callers, caller => caller.Start());
        Array.ForEach(callers, caller => caller.Join());
        Assert.That(sum, Is.EqualTo(3 * 200 * 100));
    }
}
