namespace FastKron.Native.Tokenizers;

/// <summary>A token recognised in the text before it is cut, such as <c>&lt;|begin_of_text|&gt;</c>.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Content">The text it stands for.</param>
/// <param name="Special">A control token: <see cref="Tokenizer.Decode"/> can leave it out.</param>
/// <param name="SingleWord">Not inside a word: no word character before or after it.</param>
/// <param name="LeftStrip">Takes the white space before it.</param>
/// <param name="RightStrip">Takes the white space after it.</param>
/// <param name="Normalized">Looked for in normalized text, after those that are not.</param>
internal sealed record AddedToken(int Id, string Content, bool Special, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized);
