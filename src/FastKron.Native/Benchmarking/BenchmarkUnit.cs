namespace FastKron.Native.Benchmarking;

/// <summary>How a case's seconds become its value.</summary>
public enum BenchmarkUnit
{
    /// <summary>GB/s: bytes that must be read and written at least, over the time.</summary>
    GigabytesPerSecond,

    /// <summary>TFLOP/s: operations that must be done at least, over the time.</summary>
    TeraflopsPerSecond,

    /// <summary>Mweights/s.</summary>
    MegaweightsPerSecond,

    /// <summary>ms.</summary>
    Milliseconds,

    /// <summary>µs.</summary>
    Microseconds,
}
