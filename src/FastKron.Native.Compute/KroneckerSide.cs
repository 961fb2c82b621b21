namespace FastKron.Native.Compute;

/// <summary>Which Kronecker factor an operation produces.</summary>
public enum KroneckerSide
{
    /// <summary>A (m, m), the output side, from an input-side matrix.</summary>
    Rows,

    /// <summary>B (n, n), the input side, from an output-side matrix.</summary>
    Columns,
}
