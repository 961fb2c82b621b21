using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

// What the operation cases take for granted: bytes go to a backend and come back.
public sealed class MemoryTests
{
    private const int Rows = 37, Columns = 129;

    [Test]
    public void StartCopy_ThereAndBackAroundAnOperation_KeepsTheOrderOfItsFences([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        using IBackend backend = Backends.Create(name);
        using Tensor source = backend.AllocateHost(DType.F32, Rows, Columns), target = backend.AllocateHost(DType.F32, Rows, Columns);
        using Tensor tensor = backend.Allocate(DType.F32, Rows, Columns);
        Numbers().CopyTo(source.AsSpan<float>());
        target.AsSpan<float>().Fill(float.NaN);
        using IFence allocated = backend.Mark(), there = backend.StartCopy(source, tensor, allocated);
        backend.Await(there);
        backend.Scale(2, tensor);
        using IFence doubled = backend.Mark(), back = backend.StartCopy(tensor, target, doubled);
        back.Wait();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(back.IsPassed);
            Assert.That(back.SecondsSince(there), Is.GreaterThanOrEqualTo(0));
            Assert.That(target.AsSpan<float>().ToArray(), Is.EqualTo(Array.ConvertAll(Numbers(), x => 2 * x)));
        }
    }

    [Test]
    public void StartCopy_OtherTypeOrShapeOrGaps_Throws([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        using IBackend backend = Backends.Create(name);
        using Tensor host = backend.AllocateHost(DType.F32, 4, 6), tensor = backend.Allocate(DType.F32, 4, 6), halves = backend.Allocate(DType.F16, 4, 6);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => backend.StartCopy(host, halves), Throws.ArgumentException);
            Assert.That(() => backend.StartCopy(host, tensor.SliceRows(0, 3)), Throws.ArgumentException);
            Assert.That(() => backend.StartCopy(host.SliceColumns(0, 5), tensor.SliceColumns(0, 5)), Throws.ArgumentException);
        }
    }

    [Test]
    public void UploadDownload_ViewWithGaps_LeavesWhatLiesBetween([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        using IBackend backend = Backends.Create(name);
        using Tensor owner = backend.Allocate(DType.F32, Rows, Columns + 5);
        backend.Fill(owner, -1);
        backend.Upload<float>(Numbers(), owner.SliceColumns(3, Columns));
        float[] inside = new float[Rows * Columns], left = new float[Rows * 3], right = new float[Rows * 2];
        backend.Download(owner.SliceColumns(3, Columns), inside.AsSpan());
        backend.Download(owner.SliceColumns(0, 3), left.AsSpan());
        backend.Download(owner.SliceColumns(3 + Columns, 2), right.AsSpan());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(inside, Is.EqualTo(Numbers()));
            Assert.That(left.Concat(right), Has.All.EqualTo(-1));
        }
    }

    [Test]
    public void UploadDownload_OtherElementsOrLength_Throws([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        using IBackend backend = Backends.Create(name);
        using Tensor tensor = backend.Allocate(DType.BF16, 2, 3);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => backend.Upload<Half>(new Half[6], tensor), Throws.ArgumentException);
            Assert.That(() => backend.Upload<BFloat16>(new BFloat16[5], tensor), Throws.ArgumentException);
            Assert.That(() => backend.Download(tensor, new BFloat16[7].AsSpan()), Throws.ArgumentException);
        }
    }

    [Test]
    public void Fill_Integers_HoldsTheNumberOrThrows([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        using IBackend backend = Backends.Create(name);
        using Tensor integers = backend.Allocate(DType.I32, 3, 7), words = backend.Allocate(DType.U16, 3, 7);
        backend.Fill(integers, -100);
        backend.Fill(words, 65535);
        int[] found = new int[21];
        ushort[] foundWords = new ushort[21];
        backend.Download(integers, found.AsSpan());
        backend.Download(words, foundWords.AsSpan());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(found, Has.All.EqualTo(-100));
            Assert.That(foundWords, Has.All.EqualTo(65535));
            Assert.That(() => backend.Fill(integers, 3e9), Throws.TypeOf<OverflowException>());
            Assert.That(() => backend.Fill(words, -1), Throws.TypeOf<OverflowException>());
        }
    }

    private static float[] Numbers() => [.. Enumerable.Range(0, Rows * Columns).Select(i => i / 8f)];
}
