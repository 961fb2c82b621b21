namespace FastKron.Native.Formats;

/// <summary>The seven linear layers of a decoder block, in the order of a block's forward pass.</summary>
public enum BlockLinear
{
    /// <summary>Queries: (heads · head dimension, hidden).</summary>
    Query,

    /// <summary>Keys: (key heads · head dimension, hidden).</summary>
    Key,

    /// <summary>Values: like the keys.</summary>
    Value,

    /// <summary>Output of the attention: (hidden, heads · head dimension).</summary>
    Output,

    /// <summary>Gate of the MLP: (intermediate, hidden).</summary>
    Gate,

    /// <summary>Up projection of the MLP: (intermediate, hidden).</summary>
    Up,

    /// <summary>Down projection of the MLP: (hidden, intermediate).</summary>
    Down,
}
