using System.Text;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>Turns choices into the token sequences that are scored (evaluation.md section 1, steps 2 to 5).</summary>
public sealed class ChoiceEncoder
{
    private readonly Tokenizer _tokenizer;
    private readonly BosMode _mode;
    private readonly int _startToken, _maxPositions;
    private readonly string? _bos;

    /// <summary>Fixes what does not depend on the choice.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="mode">Special tokens before the context.</param>
    /// <param name="startToken">What stands for an empty context: BOS, or EOS where there is none.</param>
    /// <param name="maxPositions">The model's context in tokens; what exceeds it is cut off at the left.</param>
    public ChoiceEncoder(Tokenizer tokenizer, BosMode mode, int startToken, int maxPositions)
    {
        (_tokenizer, _mode, _startToken, _maxPositions) = (tokenizer, mode, startToken, maxPositions);
        _bos = tokenizer.BosId is { } bos ? Encoding.UTF8.GetString(tokenizer.TokenBytes(bos)) : null;
    }

    /// <summary>Special tokens before the context.</summary>
    public BosMode Mode => _mode;

    /// <summary>The sequence of a choice; context and continuation are encoded together and parted by the number of the context's tokens.</summary>
    /// <param name="choice">The choice.</param>
    /// <param name="truncated">Whether the context did not fit.</param>
    /// <exception cref="InvalidDataException">The continuation adds no token, or more than the model's context holds.</exception>
    public ScoredSequence Encode(TaskChoice choice, out bool truncated)
    {
        // White space at the end of the context belongs to the continuation: only the place of the split moves.
        string context = choice.Context[..^PythonText.TrailingSpace(choice.Context)], text = choice.Context + choice.Continuation;
        int[] whole = Encode(text), before = context.Length == 0 ? [] : Encode(context);
        if (context.Length == 0)
        {
            whole = whole.Length > 0 && whole[0] == _startToken ? whole : [_startToken, .. whole];
            before = whole[..1];
        }
        if (whole.Length <= before.Length)
            throw new InvalidDataException("the continuation adds no token to its context");
        int[] targets = whole[before.Length..];
        if (targets.Length > _maxPositions)
            throw new InvalidDataException($"a continuation of {targets.Length} tokens exceeds the model's context of {_maxPositions}");
        // Behind the context's own tokens, not behind the first of the whole text: they differ where a merge crosses the split.
        int[] input = [.. before, .. targets[..^1]];
        truncated = input.Length > _maxPositions;
        return new ScoredSequence(truncated ? input[^_maxPositions..] : input, targets);
    }

    private int[] Encode(string text)
        => _tokenizer.Encode(text, addSpecialTokens: _mode == BosMode.Tokenizer && (_bos is null || !text.StartsWith(_bos, StringComparison.Ordinal)));
}
