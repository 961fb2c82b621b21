namespace FastKron.Native.Tokenizers;

/// <summary>One step of a pre-tokenizer: each piece of the step before is cut again.</summary>
/// <param name="Scanner">How pieces are cut; null leaves them whole.</param>
/// <param name="PrefixSpace">A space is put before each piece that starts with none, before it is cut.</param>
internal readonly record struct PreTokenizerStage(IPieceScanner? Scanner, bool PrefixSpace);
