using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Tests.Models;

/// <summary>Sums the weight gradient G = DᵀX of every linear.</summary>
internal sealed class GradientCollector(IBackend backend) : ILinearObserver
{
    /// <summary>(m, n) row-major by module path.</summary>
    public Dictionary<string, float[]> Gradients { get; } = [];

    public void Observe(ILinear linear, Tensor x, Tensor d)
    {
        using Tensor g = backend.Allocate(DType.F32, linear.Outputs, linear.Inputs);
        backend.MatMul(d, transposeA: true, x, transposeB: false, g);
        float[] gradient = new float[g.Length];
        backend.Download<float>(g, gradient);
        if (Gradients.TryGetValue(linear.Name, out float[]? sum))
        {
            for (int i = 0; i < sum.Length; i++)
                sum[i] += gradient[i];
        }
        else
        {
            Gradients.Add(linear.Name, gradient);
        }
    }

    /// <summary>Forward, loss and backward of the whole model; labels: true next tokens, or those given. Returns the losses.</summary>
    public static float[] Backpropagate(DecoderModel model, IReadOnlyList<int[]> sequences, float scale, ILinearObserver observer, int[]? labels = null)
    {
        IBackend backend = model.Backend;
        using PackedBatch batch = PackedBatch.Create(backend, model.Config, sequences);
        Tensor[] inputs = [.. Enumerable.Range(0, model.Blocks.Count + 1).Select(_ => backend.Allocate(backend.ActivationType, batch.Tokens, model.Config.HiddenSize))];
        using Tensor gradient = backend.Allocate(backend.ActivationType, batch.Tokens, model.Config.HiddenSize);
        using Tensor losses = backend.Allocate(DType.F32, 1, batch.Tokens);
        if (labels is not null)
            backend.Upload<int>(labels, batch.NextTokens);
        model.Embed(batch, inputs[0]);
        for (int i = 0; i < model.Blocks.Count; i++)
        {
            backend.Convert(inputs[i], inputs[i + 1]);
            model.Blocks[i].Forward(batch, inputs[i + 1]);
        }
        LossGradient.FromLabels(model, inputs[^1], batch.NextTokens, scale, gradient, losses);
        for (int i = model.Blocks.Count - 1; i >= 0; i--)
            model.Blocks[i].Backward(batch, inputs[i], gradient, observer);
        float[] result = new float[batch.Tokens];
        backend.Download<float>(losses, result);
        foreach (Tensor input in inputs)
            input.Dispose();
        return result;
    }
}
