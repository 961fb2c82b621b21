using System.Text;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>A text whose likelihood is asked, and the text before it.</summary>
/// <param name="Context">What the model reads first.</param>
/// <param name="Continuation">What is scored, with the space that parts it from the context.</param>
public sealed record TaskChoice(string Context, string Continuation)
{
    /// <summary>Unicode code points of the continuation without its leading space: what <c>acc_norm</c> divides by.</summary>
    public int Characters => PythonText.Length(Bare);

    /// <summary>UTF-8 bytes of the continuation without its leading space.</summary>
    public int Bytes => Encoding.UTF8.GetByteCount(Bare);

    private ReadOnlySpan<char> Bare => Continuation.AsSpan(Continuation.StartsWith(' ') ? 1 : 0);
}
