using System.Reflection;

namespace FastKron.Native;

/// <summary>What this build is.</summary>
public static class Engine
{
    /// <summary>Version and commit, for example <c>FastKron.Native 0.1.0+3f2a…</c>.</summary>
    public static string Version { get; } =
        $"FastKron.Native {typeof(Engine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown"}";

    /// <summary>Identity of the compiled code: changes whenever the engine or the numeric operations are compiled from other sources.</summary>
    public static string Build { get; } =
        $"{typeof(Engine).Module.ModuleVersionId:N}-{typeof(Compute.IBackend).Module.ModuleVersionId:N}";
}
