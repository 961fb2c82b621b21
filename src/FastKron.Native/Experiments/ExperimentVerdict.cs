using System.Text.Json.Serialization;
using FastKron.Native.Evaluation;

namespace FastKron.Native.Experiments;

/// <summary>What became of a claim.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ExperimentOutcome>))]
public enum ExperimentOutcome
{
    /// <summary>A cell that it needs is not measured yet.</summary>
    NotMeasured,

    /// <summary>The whole interval of the ratio is within the claim.</summary>
    Confirmed,

    /// <summary>The whole interval is outside.</summary>
    NotConfirmed,

    /// <summary>The claim's limit lies in the interval: these numbers do not decide it.</summary>
    Undecided,
}

/// <summary>A claim, decided by the numbers for one model at one rate.</summary>
/// <param name="Claim">The claim in words.</param>
/// <param name="Model">The model.</param>
/// <param name="Bits">Bits per weight.</param>
/// <param name="Line">The line that it is about.</param>
/// <param name="Against">The line that it is compared with.</param>
/// <param name="AtMost">Largest ratio that the claim allows.</param>
/// <param name="Outcome">What became of it.</param>
/// <param name="Ratio">Ratio of the mean KLs over common seeds; null where it is not measured.</param>
/// <param name="Low">Lower end of its 95 % interval, from blocks and seeds.</param>
/// <param name="High">Upper end.</param>
public sealed record ExperimentVerdict(
    string Claim, string Model, double Bits, string Line, string Against, double AtMost, ExperimentOutcome Outcome, double? Ratio = null, double? Low = null, double? High = null)
{
    private const double HalfInterval = 1.96;                   // standard errors of a 95 % interval

    /// <summary>Decides a claim.</summary>
    internal static ExperimentVerdict Of(ExperimentClaim claim, string model, double bits, SeededSample? line, SeededSample? against)
    {
        var open = new ExperimentVerdict(claim.Text, model, bits, claim.Line, claim.Against, claim.AtMost, ExperimentOutcome.NotMeasured);
        if (line is null || against is null || line.RatioTo(against) is not (double ratio, double error))
            return open;
        (double low, double high) = (ratio - HalfInterval * error, ratio + HalfInterval * error);
        ExperimentOutcome outcome = high <= claim.AtMost ? ExperimentOutcome.Confirmed : low > claim.AtMost ? ExperimentOutcome.NotConfirmed : ExperimentOutcome.Undecided;
        return open with { Outcome = outcome, Ratio = ratio, Low = low, High = high };
    }
}
