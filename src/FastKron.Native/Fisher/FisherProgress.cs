namespace FastKron.Native.Fisher;

/// <summary>Where a collection stands.</summary>
/// <param name="Layer">Number of the block in work; −1 during the forward pass.</param>
/// <param name="Layers">Blocks of the model.</param>
/// <param name="Module">Linear whose factors were just finished, or null.</param>
/// <param name="Fraction">Share of the work that is done, 0 … 1, by floating-point operations.</param>
/// <param name="Elapsed">Time so far.</param>
public readonly record struct FisherProgress(int Layer, int Layers, string? Module, double Fraction, TimeSpan Elapsed)
{
    /// <summary>Remaining time at the rate so far; null before anything is done.</summary>
    public TimeSpan? Remaining => Fraction > 0 ? Elapsed * ((1 - Fraction) / Fraction) : null;
}
