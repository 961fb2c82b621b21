namespace FastKron.Native.Tokenizers;

/// <summary>The conversation formats that the engine knows.</summary>
public enum ChatFormat
{
    /// <summary><c>[INST]</c> and <c>&lt;&lt;SYS&gt;&gt;</c>: LLaMA-2-Chat.</summary>
    Llama2,

    /// <summary>Headers between <c>&lt;|start_header_id|&gt;</c> and <c>&lt;|end_header_id|&gt;</c>: LLaMA-3-Instruct.</summary>
    Llama3,

    /// <summary><c>&lt;|im_start|&gt;</c> turns, with the reasoning of earlier answers left out: Qwen-3.</summary>
    Qwen3,
}
