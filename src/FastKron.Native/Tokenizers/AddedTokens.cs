using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>All added tokens of a tokenizer, by id and by text.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<int, (AddedToken Token, byte[] Utf8)> _byId = [];

    /// <summary>Makes the index.</summary>
    /// <param name="tokens">Ids and contents are each unique.</param>
    /// <param name="normalize">What the tokenizer does to text, done to the contents of normalized tokens too.</param>
    public AddedTokens(IReadOnlyCollection<AddedToken> tokens, Func<string, string> normalize)
    {
        foreach (AddedToken token in tokens)
            _byId.Add(token.Id, (token, Encoding.UTF8.GetBytes(token.Content)));
        Raw = new AddedTokenMatcher(tokens.Where(t => !t.Normalized).Select(t => (t.Content, t)));
        Normalized = new AddedTokenMatcher(tokens.Where(t => t.Normalized).Select(t => (normalize(t.Content), t)));
        Size = tokens.Count == 0 ? 0 : tokens.Max(t => t.Id) + 1;
    }

    /// <summary>Finds tokens in the text as given; comes first.</summary>
    public AddedTokenMatcher Raw { get; }

    /// <summary>Finds tokens in normalized text.</summary>
    public AddedTokenMatcher Normalized { get; }

    /// <summary>One past the largest id.</summary>
    public int Size { get; }

    /// <summary>The token of an id, with its content in UTF-8.</summary>
    public bool TryGet(int id, out AddedToken token, out byte[] utf8)
    {
        bool found = _byId.TryGetValue(id, out var entry);
        (token, utf8) = entry;
        return found;
    }

    /// <summary>The id of a content, or null.</summary>
    public int? Find(string content) => _byId.Values.FirstOrDefault(e => e.Token.Content == content).Token?.Id;
}
