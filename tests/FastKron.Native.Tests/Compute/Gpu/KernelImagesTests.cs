using System.Text.RegularExpressions;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Cuda;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Gpu;

public sealed partial class KernelImagesTests
{
    private static readonly string[] Targets = ["compute_80", "compute_90a"];

    [Test]
    public void Constructor_DeviceBelow80_ThrowsNotSupported()
    {
        Assert.That(() => new KernelImages(new Version(7, 5)), Throws.TypeOf<NotSupportedException>().With.Message.Contains("7.5"));
    }

    [TestCase(8, 0, "compute_80")]
    [TestCase(8, 9, "compute_80")]
    [TestCase(9, 0, "compute_90a")]
    [TestCase(10, 0, "compute_80")]
    [TestCase(12, 0, "compute_80")]
    public void Constructor_Device_ChoosesTargetOrSaysHowToMakeKernels(int major, int minor, string target)
    {
        if (KernelImages.Families(target).Any())
        {
            using var images = new KernelImages(new Version(major, minor));
            Assert.That(images.Target, Is.EqualTo(target));
        }
        else
        {
            Assert.That(() => new KernelImages(new Version(major, minor)), Throws.TypeOf<NotSupportedException>().With.Message.Contains("./build.sh kernels"));
        }
    }

    // Compute capability 9.0 may have kernels of its own, which the backend asks for by KernelImages.HasWarpgroups.
    [Test]
    public void Families_NewerTarget_HasEveryPortableKernel()
    {
        Assert.That(Entries(Targets[0]), Is.SubsetOf(Entries(Targets[1])));
    }

    [Test]
    public void Families_EntryNames_AreUnique()
    {
        Assert.That(Entries(Targets[0]).Select(entry => entry.Name), Is.Unique);
    }

    [Test]
    [RequiresGpu]
    public void Module_EveryKernel_UsesNoLocalMemoryUnlessListed()
    {
        using var context = new CudaContext();
        using var images = new KernelImages(CudaContext.GetDeviceComputeCapability(context.DeviceId));
        string[] exceptions = [.. Exceptions()];
        string[] spilling =
        [
            .. from entry in Entries(images.Target)
               where images.Module(entry.Family).GetKernel(entry.Name).LocalMemory > 0
               select entry.Name,
        ];
        Assert.That(spilling, Is.SubsetOf(exceptions));
    }

    private static IEnumerable<(string Family, string Name)> Entries(string target) =>
        from family in KernelImages.Families(target)
        from Match match in EntryPattern().Matches(Read(typeof(KernelImages), $"ptx/{target}/{family}.ptx"))
        select (family, match.Groups[1].Value);

    private static IEnumerable<string> Exceptions() =>
        from line in Read(typeof(KernelImagesTests), "exceptions.txt").Split('\n')
        where line.Length > 0 && line[0] != '#'
        select line.Split(' ')[0].Replace("driver:", "", StringComparison.Ordinal);

    private static string Read(Type type, string resource)
    {
        using var reader = new StreamReader(type.Assembly.GetManifestResourceStream(resource)!);
        return reader.ReadToEnd();
    }

    [GeneratedRegex(@"\.entry (\w+)\(")]
    private static partial Regex EntryPattern();
}
