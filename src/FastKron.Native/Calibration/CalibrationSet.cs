namespace FastKron.Native.Calibration;

/// <summary>Token sequences for calibration, without padding, and where they came from.</summary>
/// <param name="Sequences">Each at most the context length; positions start at 0 in each.</param>
/// <param name="Source">Files, or <c>self:TOKENS</c>.</param>
/// <param name="Documents">Documents the sequences were cut from.</param>
/// <param name="Hash">SHA-256 of the ids (little-endian int32, each sequence preceded by its length), lower-case hex.</param>
public sealed record CalibrationSet(IReadOnlyList<int[]> Sequences, string Source, int Documents, string Hash)
{
    /// <summary>Tokens of all sequences.</summary>
    public long Tokens => Sequences.Sum(s => (long)s.Length);
}
