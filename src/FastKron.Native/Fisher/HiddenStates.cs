using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Copies of hidden states between device and host, in the activation type, so that a copy changes no bit.</summary>
internal static class HiddenStates
{
    /// <summary>Copies to a new host tensor.</summary>
    public static Tensor SaveToHost(this IBackend backend, Tensor source)
    {
        Tensor host = Tensor.AllocateHost(source.Type, source.Rows, source.Columns);
        backend.Save(source, host);
        return host;
    }

    /// <summary>host ← source.</summary>
    public static void Save(this IBackend backend, Tensor source, Tensor host)
    {
        if (source.Type == DType.F32)
            backend.Download(source, host.AsSpan<float>());
        else
            backend.Download(source, host.AsSpan<BFloat16>());
    }

    /// <summary>destination ← host.</summary>
    public static void Restore(this IBackend backend, Tensor host, Tensor destination)
    {
        if (destination.Type == DType.F32)
            backend.Upload<float>(host.AsSpan<float>(), destination);
        else
            backend.Upload<BFloat16>(host.AsSpan<BFloat16>(), destination);
    }
}
