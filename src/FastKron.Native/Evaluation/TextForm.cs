namespace FastKron.Native.Evaluation;

/// <summary>What is made of a text file before its perplexity is measured.</summary>
public enum TextForm
{
    /// <summary>Blocks of the text as it is: protocol <c>block/SET/LEN</c>.</summary>
    Plain,

    /// <summary>Blocks of its rows, joined as WikiText tables are: protocol <c>block/SET/LEN</c>.</summary>
    Rows,

    /// <summary>Detokenized WikiText pages in rolling windows: protocol <c>rolling/wikitext</c>.</summary>
    Pages,

    /// <summary>Chunks whose second half is scored: protocol <c>gguf/LEN</c>.</summary>
    Gguf,

    /// <summary>Blocks drawn from the documents of a C4 file: protocol <c>block/c4/LEN</c>.</summary>
    C4,

    /// <summary>Blocks of text that the model writes itself.</summary>
    Self,
}
