using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Tests.Fisher;

/// <summary>A decoder in float64 made of the Reference operations, for goldens that float32 gradients do not reach.</summary>
/// <remarks>Weights are widened block by block; all of them are held at once.</remarks>
internal sealed class ReferenceDecoder : IDisposable
{
    private readonly IBackend _backend;
    private readonly ModelFolder _folder;
    private readonly ModelConfig _config;
    private readonly Tensor _embedding, _head;
    private readonly double[] _frequencies;

    public ReferenceDecoder(IBackend backend, string folder)
    {
        _backend = backend;
        _folder = ModelFolder.Open(folder);
        _config = _folder.Config;
        _embedding = Load("model.embed_tokens.weight", _config.VocabularySize, _config.HiddenSize);
        _head = _config.TiedHead ? _embedding : Load("lm_head.weight", _config.VocabularySize, _config.HiddenSize);
        _frequencies = RotaryTables.Frequencies(_config.Rotary, _config.HeadDimension);
    }

    /// <summary>Inputs and output gradients of the seven linears of block 0, for the mean next-token loss of each sequence: X (T, n), D (T,
    /// m), F64, T all tokens.</summary>
    public IReadOnlyList<(Tensor X, Tensor D)> FirstBlock(IReadOnlyList<int[]> sequences)
    {
        using PackedBatch batch = PackedBatch.Create(_backend, _config, sequences);
        var blocks = new List<Block>();
        Tensor hidden = Allocate(batch.Tokens, _config.HiddenSize);
        for (int t = 0; t < batch.Tokens; t++)
            _embedding.Row<double>(batch.Ids.Row<int>(0)[t]).CopyTo(hidden.Row<double>(t));
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            blocks.Add(new Block(this, layer, batch, hidden));
            hidden = blocks[^1].Output;
        }
        Tensor gradient = LossGradient(batch, hidden);
        foreach (Block block in blocks.AsEnumerable().Reverse())
            gradient = block.Backward(gradient);
        gradient.Dispose();
        foreach (Block block in blocks.Skip(1))
            block.Dispose();
        return blocks[0].Observed;
    }

    public void Dispose()
    {
        _embedding.Dispose();
        _head.Dispose();
        _folder.Dispose();
    }

    private Tensor LossGradient(PackedBatch batch, Tensor hidden)
    {
        using Tensor norm = Load("model.norm.weight", 1, _config.HiddenSize), normed = Normalize(hidden, norm);
        using Tensor logits = Product(normed, false, _head, true);
        foreach (SequenceSpan sequence in batch.Layout.Sequences)
        {
            for (int t = sequence.QueryStart; t < sequence.QueryStart + sequence.QueryCount; t++)
                CrossEntropy.Backward(logits.Row<double>(t), batch.NextTokens.Row<int>(0)[t], 1.0 / (sequence.QueryCount - 1));
        }
        using Tensor dNormed = Product(logits, false, _head, false);
        return NormalizeBackward(dNormed, hidden, norm);
    }

    private Tensor Load(string name, int rows, int columns)
    {
        using Tensor stored = _folder.Load(_backend, name, rows, columns, DType.F32);
        Tensor wide = Allocate(rows, columns);
        _backend.Convert(stored, wide);
        return wide;
    }

    private Tensor Allocate(int rows, int columns) => _backend.Allocate(DType.F64, rows, columns);

    private Tensor Product(Tensor a, bool transposeA, Tensor b, bool transposeB)
    {
        Tensor c = Allocate(transposeA ? a.Columns : a.Rows, transposeB ? b.Rows : b.Columns);
        _backend.MatMul(a, transposeA, b, transposeB, c);
        return c;
    }

    // Over groups of weight.Columns columns.
    private Tensor Normalize(Tensor x, Tensor weight)
    {
        Tensor y = Allocate(x.Rows, x.Columns);
        int n = weight.Columns;
        for (int t = 0; t < x.Rows; t++)
        {
            for (int c = 0; c < x.Columns; c += n)
                RmsNorm.Forward(x.Row<double>(t).Slice(c, n), weight.AsSpan<double>(), _config.RmsNormEpsilon, y.Row<double>(t).Slice(c, n));
        }
        return y;
    }

    private Tensor NormalizeBackward(Tensor dy, Tensor x, Tensor weight)
    {
        Tensor dx = Allocate(x.Rows, x.Columns);
        int n = weight.Columns;
        for (int t = 0; t < x.Rows; t++)
        {
            for (int c = 0; c < x.Columns; c += n)
            {
                RmsNorm.Backward(
                    dy.Row<double>(t).Slice(c, n), x.Row<double>(t).Slice(c, n), weight.AsSpan<double>(), _config.RmsNormEpsilon, dx.Row<double>(t).Slice(c, n));
            }
        }
        return dx;
    }

    private void Rotate(PackedBatch batch, Tensor heads, bool inverse)
    {
        double[] cosines = new double[_frequencies.Length], sines = new double[_frequencies.Length];
        for (int t = 0; t < heads.Rows; t++)
        {
            for (int i = 0; i < _frequencies.Length; i++)
                (sines[i], cosines[i]) = Math.SinCos(batch.Positions.Row<int>(0)[t] * _frequencies[i]);
            for (int c = 0; c < heads.Columns; c += _config.HeadDimension)
                RotaryEmbedding.Rotate(heads.Row<double>(t).Slice(c, _config.HeadDimension), cosines, sines, inverse);
        }
    }

    // One block: everything the backward pass needs is kept.
    private sealed class Block : IDisposable
    {
        private readonly ReferenceDecoder _decoder;
        private readonly IBackend _backend;
        private readonly PackedBatch _batch;
        private readonly Tensor _input, _attentionNorm, _mlpNorm, _normed, _rawQueries, _rawKeys, _queries, _keys, _values, _mixed;
        private readonly Tensor _middle, _mlpNormed, _gate, _up, _gated;
        private readonly Tensor? _queryNorm, _keyNorm;
        private readonly Tensor[] _weights;
        private readonly (Tensor X, Tensor D)[] _observed = new (Tensor, Tensor)[7];

        public Block(ReferenceDecoder decoder, int layer, PackedBatch batch, Tensor input)
        {
            (_decoder, _backend, _batch, _input) = (decoder, decoder._backend, batch, input);
            ModelConfig config = decoder._config;
            string prefix = $"model.layers.{layer}.";
            _attentionNorm = decoder.Load(prefix + "input_layernorm.weight", 1, config.HiddenSize);
            _mlpNorm = decoder.Load(prefix + "post_attention_layernorm.weight", 1, config.HiddenSize);
            if (config.HasQueryKeyNorm)
            {
                _queryNorm = decoder.Load(prefix + "self_attn.q_norm.weight", 1, config.HeadDimension);
                _keyNorm = decoder.Load(prefix + "self_attn.k_norm.weight", 1, config.HeadDimension);
            }
            _weights = [.. BlockLinears.All.Select(l => decoder.Load(l.ModulePath(layer) + ".weight", l.Shape(config).Outputs, l.Shape(config).Inputs))];

            _normed = decoder.Normalize(input, _attentionNorm);
            _rawQueries = Forward(BlockLinear.Query, _normed);
            _rawKeys = Forward(BlockLinear.Key, _normed);
            _values = Forward(BlockLinear.Value, _normed);
            _queries = Heads(_rawQueries, _queryNorm);
            _keys = Heads(_rawKeys, _keyNorm);
            _mixed = decoder.Allocate(input.Rows, _queries.Columns);
            CausalAttention.Forward(
                _queries.AsSpan<double>(), _keys.AsSpan<double>(), _values.AsSpan<double>(), _batch.Layout,
                _mixed.AsSpan<double>(), new double[input.Rows * config.Heads]);
            _middle = Forward(BlockLinear.Output, _mixed);
            _backend.Axpy(1, input, _middle);
            _mlpNormed = decoder.Normalize(_middle, _mlpNorm);
            _gate = Forward(BlockLinear.Gate, _mlpNormed);
            _up = Forward(BlockLinear.Up, _mlpNormed);
            _gated = decoder.Allocate(input.Rows, _gate.Columns);
            SwiGlu.Forward(_gate.AsSpan<double>(), _up.AsSpan<double>(), _gated.AsSpan<double>());
            Output = Forward(BlockLinear.Down, _gated);
            _backend.Axpy(1, _middle, Output);
        }

        public Tensor Output { get; }

        public IReadOnlyList<(Tensor X, Tensor D)> Observed => _observed;

        // Takes over the gradient of the output; returns that of the input.
        public Tensor Backward(Tensor gradient)
        {
            using Tensor dGated = BackwardLinear(BlockLinear.Down, _gated, gradient);
            Tensor dGate = _decoder.Allocate(_gate.Rows, _gate.Columns), dUp = _decoder.Allocate(_gate.Rows, _gate.Columns);
            SwiGlu.Backward(dGated.AsSpan<double>(), _gate.AsSpan<double>(), _up.AsSpan<double>(), dGate.AsSpan<double>(), dUp.AsSpan<double>());
            using Tensor dMlpNormed = BackwardLinear(BlockLinear.Gate, _mlpNormed, dGate), throughUp = BackwardLinear(BlockLinear.Up, _mlpNormed, dUp);
            _backend.Axpy(1, throughUp, dMlpNormed);
            Tensor dMiddle = _decoder.NormalizeBackward(dMlpNormed, _middle, _mlpNorm);
            _backend.Axpy(1, gradient, dMiddle);

            using Tensor dMixed = BackwardLinear(BlockLinear.Output, _mixed, dMiddle);
            Tensor dQueries = _decoder.Allocate(_queries.Rows, _queries.Columns), dKeys = _decoder.Allocate(_keys.Rows, _keys.Columns);
            Tensor dValues = _decoder.Allocate(_values.Rows, _values.Columns);
            CausalAttention.Backward(
                dMixed.AsSpan<double>(), _queries.AsSpan<double>(), _keys.AsSpan<double>(), _values.AsSpan<double>(), _batch.Layout,
                dQueries.AsSpan<double>(), dKeys.AsSpan<double>(), dValues.AsSpan<double>());
            using Tensor dNormed = BackwardLinear(BlockLinear.Query, _normed, HeadsBackward(dQueries, _rawQueries, _queryNorm));
            using Tensor throughKeys = BackwardLinear(BlockLinear.Key, _normed, HeadsBackward(dKeys, _rawKeys, _keyNorm));
            using Tensor throughValues = BackwardLinear(BlockLinear.Value, _normed, dValues);
            _backend.Axpy(1, throughKeys, dNormed);
            _backend.Axpy(1, throughValues, dNormed);
            Tensor dInput = _decoder.NormalizeBackward(dNormed, _input, _attentionNorm);
            _backend.Axpy(1, dMiddle, dInput);
            return dInput;
        }

        public void Dispose()
        {
            Tensor?[] kept =
            [
                _input, _attentionNorm, _mlpNorm, _normed, _rawQueries, _rawKeys, _queries, _keys, _values, _mixed, _middle, _mlpNormed, _gate, _up, _gated,
                _queryNorm, _keyNorm, .. _weights, .. _observed.Select(o => o.D),
            ];
            foreach (Tensor? tensor in kept)
                tensor?.Dispose();
        }

        private Tensor Forward(BlockLinear linear, Tensor x) => _decoder.Product(x, false, _weights[(int)linear], true);

        private Tensor BackwardLinear(BlockLinear linear, Tensor x, Tensor d)
        {
            _observed[(int)linear] = (x, d);
            return _decoder.Product(d, false, _weights[(int)linear], false);
        }

        private Tensor Heads(Tensor raw, Tensor? norm)
        {
            Tensor heads;
            if (norm is null)
            {
                heads = _decoder.Allocate(raw.Rows, raw.Columns);
                _backend.Convert(raw, heads);
            }
            else
            {
                heads = _decoder.Normalize(raw, norm);
            }
            _decoder.Rotate(_batch, heads, inverse: false);
            return heads;
        }

        private Tensor HeadsBackward(Tensor dHeads, Tensor raw, Tensor? norm)
        {
            _decoder.Rotate(_batch, dHeads, inverse: true);
            return norm is null ? dHeads : _decoder.NormalizeBackward(dHeads, raw, norm);
        }
    }
}
