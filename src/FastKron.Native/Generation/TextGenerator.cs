using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Generation;

/// <summary>Continues token sequences with a model, dense or quantized, keeping keys and values of the tokens seen.</summary>
/// <param name="model">The model.</param>
/// <param name="vocabulary">Ids that the tokenizer has a text for: those above, padding of the embedding, are never chosen; null for all of the model's.</param>
public sealed class TextGenerator(DecoderModel model, int? vocabulary = null)
{
    private readonly int _vocabulary = Math.Min(vocabulary ?? int.MaxValue, model.Config.VocabularySize);

    /// <summary>Continues a prompt until an end-of-sequence or stop token, or <see cref="GenerationOptions.MaxTokens"/>.</summary>
    /// <param name="prompt">At least one token, special tokens included.</param>
    /// <param name="options">How tokens are chosen.</param>
    /// <param name="onToken">Called with each new token as soon as it is known; not with the one that ends the text.</param>
    /// <param name="cancellationToken">Checked before every token.</param>
    /// <exception cref="ArgumentException">Empty prompt, an id outside the vocabulary, options out of range, or prompt and new tokens exceed the model's context.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public GenerationResult Generate(
        IReadOnlyList<int> prompt, GenerationOptions options, Action<int>? onToken = null, CancellationToken cancellationToken = default)
    {
        CheckContext(prompt.Count, options.MaxTokens);
        IBackend backend = model.Backend;
        var sampler = new TokenSampler(options, _vocabulary);
        var tokens = new List<int>(options.MaxTokens);
        float[] row = new float[_vocabulary];
        using var cache = new KeyValueCache(model, sequences: 1, prompt.Count + options.MaxTokens);
        using Tensor hidden = backend.Allocate(backend.ActivationType, prompt.Count, model.Config.HiddenSize);
        using Tensor logits = backend.Allocate(DType.F32, 1, model.Config.VocabularySize);
        int[] next = [.. prompt];
        while (tokens.Count < options.MaxTokens)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using (PackedBatch batch = PackedBatch.Continue(backend, model.Config, cache, next))
                model.Forward(batch, hidden.SliceRows(0, next.Length), cache);
            model.Logits(hidden.SliceRows(next.Length - 1, 1), logits);
            backend.Download<float>(logits.SliceColumns(0, _vocabulary), row);
            int token = sampler.Next(row, (uint)tokens.Count);
            if (model.Config.EosTokens.Contains(token) || options.StopTokens.Contains(token))
                return new GenerationResult(tokens, StopReason.EndOfSequence);
            tokens.Add(token);
            onToken?.Invoke(token);
            next = [token];
        }
        return new GenerationResult(tokens, StopReason.MaxTokens);
    }

    private void CheckContext(int promptTokens, int maxTokens)
    {
        if (maxTokens < 0)
            throw new ArgumentOutOfRangeException(nameof(maxTokens), $"{maxTokens} new tokens: expected 0 or more");
        int context = model.Config.MaxPositions;
        if (promptTokens == 0)
            throw new ArgumentException("the prompt has no token; begin with the model's BOS token", nameof(promptTokens));
        if (promptTokens > context)
            throw new ArgumentException($"prompt of {promptTokens} tokens exceeds the model's context of {context}; shorten it", nameof(promptTokens));
        if ((long)promptTokens + maxTokens > context)
        {
            throw new ArgumentException($"prompt of {promptTokens} + {maxTokens} new tokens exceed the model's context of {context}; "
                + $"shorten the prompt or ask for at most {context - promptTokens} tokens", nameof(maxTokens));
        }
    }
}
