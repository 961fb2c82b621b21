using System.Text.Json.Serialization;

namespace FastKron.Native.Experiments;

/// <summary>A claim that an experiment decides: the mean KL of one line is at most so many times that of another.</summary>
public sealed record ExperimentClaim
{
    /// <summary>The claim in words.</summary>
    [JsonRequired]
    public required string Text { get; set; }

    /// <summary>Name of the line that it is about.</summary>
    [JsonRequired]
    public required string Line { get; set; }

    /// <summary>Name of the line that it is compared with.</summary>
    [JsonRequired]
    public required string Against { get; set; }

    /// <summary>Largest ratio of the mean KLs that the claim allows.</summary>
    [JsonRequired]
    public required double AtMost { get; set; }

    /// <summary>Bits per weight at which it is made; null for all.</summary>
    public IReadOnlyList<double>? Bits { get; set; }
}
