using FastKron.Native.Evaluation;

namespace FastKron.Native.Quantization;

/// <summary>Passes the progress of a measurement on as that of a run.</summary>
internal sealed class EvaluationRelay(IProgress<QuantizationProgress>? target) : IProgress<EvaluationProgress>
{
    public void Report(EvaluationProgress value) => target?.Report(new QuantizationProgress("evaluation", value.Fraction, -1, 0, value.Stage, null, value.Elapsed));
}
