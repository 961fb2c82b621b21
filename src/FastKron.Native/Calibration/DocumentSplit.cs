namespace FastKron.Native.Calibration;

/// <summary>How a text file is cut into documents.</summary>
public enum DocumentSplit
{
    /// <summary>The whole file is one document.</summary>
    File,

    /// <summary>Each line is a document; written <c>file.txt:lines</c>.</summary>
    Line,

    /// <summary>Blocks between lines <c>&lt;doc …&gt;</c> and <c>&lt;/doc&gt;</c>, as Wikipedia extracts have them; written <c>file.txt:doc</c>.</summary>
    WikiDoc,

    /// <summary>A text between documents, such as <c>file.txt:&lt;|endoftext|&gt;</c>.</summary>
    Marker,
}
