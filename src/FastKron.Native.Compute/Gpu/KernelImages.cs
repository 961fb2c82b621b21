using System.Reflection;
using System.Text.Json;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

/// <summary>The embedded PTX of the kernels: one image per family and target, compiled by the driver when it is first used.</summary>
public sealed class KernelImages : IDisposable
{
    private const string Prefix = "ptx/", Suffix = ".ptx", Manifest = "ptx/manifest.json";
    private const string Portable = "compute_80", Hopper = "compute_90a";

    private static readonly Assembly Embedding = typeof(KernelImages).Assembly;
    private static readonly Version Lowest = new(8, 0), HopperCapability = new(9, 0);

    private readonly Lock _loading = new();
    private readonly Dictionary<string, CudaModule> _modules = new(StringComparer.Ordinal);

    /// <summary>Chooses the target for a device: PTX for compute_90a runs on 9.0 only, that for compute_80 on everything newer.</summary>
    /// <param name="computeCapability">Of the device.</param>
    /// <exception cref="NotSupportedException">The device is older than compute capability 8.0, or this build has no kernels.</exception>
    public KernelImages(Version computeCapability)
    {
        if (computeCapability < Lowest)
            throw new NotSupportedException($"compute capability {computeCapability}: the kernels need {Lowest} or newer; use --device cpu");
        Target = computeCapability == HopperCapability ? Hopper : Portable;
        if (!Families(Target).Any())
            throw new NotSupportedException("this build has no GPU kernels: run ./build.sh kernels, then ./build.sh build, or use --device cpu");
    }

    /// <summary>The PTX target in use, for example compute_90a.</summary>
    public string Target { get; }

    /// <summary>Whether the target has the warpgroup products and tensor maps of compute capability 9.0.</summary>
    public bool HasWarpgroups => Target == Hopper;

    /// <summary>Whether this build holds kernels.</summary>
    public static bool AreBuilt => Families(Portable).Any();

    /// <summary>What is embedded, for people: targets with their families, the compiler and the hash of the sources; or how to get kernels.</summary>
    public static string Describe()
    {
        using Stream? stream = Embedding.GetManifestResourceStream(Manifest);
        if (stream is null)
            return "none in this build: run ./build.sh kernels, then ./build.sh build";
        using JsonDocument manifest = JsonDocument.Parse(stream);
        string targets = string.Join(", ", manifest.RootElement.GetProperty("targets").EnumerateArray().Select(target => target.GetString()!));
        return $"{targets}: {string.Join(' ', Families(Portable))}; nvcc {manifest.RootElement.GetProperty("nvcc").GetString()}, sources {manifest.RootElement.GetProperty("sources").GetString()![..12]}";
    }

    /// <summary>Names of the families that a target has, in order.</summary>
    /// <param name="target">compute_80 or compute_90a.</param>
    public static IEnumerable<string> Families(string target)
    {
        string folder = $"{Prefix}{target}/";
        return Embedding.GetManifestResourceNames()
            .Where(name => name.StartsWith(folder, StringComparison.Ordinal) && name.EndsWith(Suffix, StringComparison.Ordinal))
            .Select(name => name[folder.Length..^Suffix.Length])
            .Order(StringComparer.Ordinal);
    }

    /// <summary>The module of a family; loaded into the current context by the first call.</summary>
    /// <param name="family">Name of the .cu file without extension.</param>
    /// <exception cref="CudaException">The driver cannot compile the image; with its log.</exception>
    public CudaModule Module(string family)
    {
        lock (_loading)
        {
            if (!_modules.TryGetValue(family, out CudaModule? module))
                _modules.Add(family, module = CudaModule.LoadModulePTX(Read(family)));
            return module;
        }
    }

    /// <summary>The machine code that the driver makes of a family for the device of the current context, for a disassembler.</summary>
    /// <param name="family">Name of the .cu file without extension.</param>
    /// <exception cref="CudaException">The driver cannot compile the image; with its log.</exception>
    public byte[] MachineCode(string family) => CudaModule.CompileToCubin(Read(family));

    /// <summary>Unloads all modules.</summary>
    public void Dispose()
    {
        foreach (CudaModule module in _modules.Values)
            module.Dispose();
    }

    private byte[] Read(string family)
    {
        using Stream stream = Embedding.GetManifestResourceStream($"{Prefix}{Target}/{family}{Suffix}")
            ?? throw new NotSupportedException($"no kernels of '{family}' for {Target} in this build, found {string.Join(' ', Families(Target))}: run ./build.sh kernels, then ./build.sh build");
        byte[] image = new byte[stream.Length];
        stream.ReadExactly(image);
        return image;
    }
}
