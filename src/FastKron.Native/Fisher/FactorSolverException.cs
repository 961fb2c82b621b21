namespace FastKron.Native.Fisher;

/// <summary>Factors of a linear could not be fitted: an iterate is zero, negative or not finite.</summary>
public sealed class FactorSolverException : Exception
{
    /// <summary>Creates the exception; the message is one line: linear, found, expected, cure.</summary>
    public FactorSolverException(string linear, string found, string cure)
        : base($"{linear}: {found}; {cure}") => Linear = linear;

    /// <summary>Module path of the linear.</summary>
    public string Linear { get; }

    /// <summary>Returns <paramref name="value"/> if it is finite and positive.</summary>
    internal static double RequirePositive(double value, string linear, int halfStep, string quantity)
    {
        if (double.IsFinite(value) && value > 0)
            return value;
        string cure = value == 0
            ? "every calibration gradient of this linear is zero: use other calibration text, or leave it dense with --skip"
            : "expected a positive finite number: the model's activations or gradients overflow on this calibration text, or the weights are damaged";
        throw new FactorSolverException(linear, $"{quantity} after half-step {halfStep} is {value}", cure);
    }
}
