namespace FastKron.Native.Reports;

/// <summary>For work that may or may not be timed.</summary>
public static class StageClock
{
    /// <summary><see cref="StageClock{TStage}.Enter"/>, where there is a clock.</summary>
    /// <param name="clock">Null for none.</param>
    /// <param name="stage">Ends the one before it while it lasts.</param>
    public static StageClock<TStage>.Scope Enter<TStage>(StageClock<TStage>? clock, TStage stage)
        where TStage : struct, Enum => clock is null ? default : clock.Enter(stage);
}
