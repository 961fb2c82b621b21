namespace FastKron.Native.Formats;

/// <summary>Model families the engine runs.</summary>
public enum ModelFamily
{
    /// <summary>LLaMA 1, 2, 3 and look-alikes: <c>model_type: llama</c>.</summary>
    Llama,

    /// <summary>Qwen 3 (dense): <c>model_type: qwen3</c>, per-head RMSNorm on queries and keys.</summary>
    Qwen3,
}
