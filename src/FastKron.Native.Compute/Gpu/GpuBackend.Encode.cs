using System.Runtime.InteropServices;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    // kernels/encode.cu
    private const int EncodeThreads = 512, DecodeTilesThreads = 256;

    // first_bad of encode.cu: tile, weight, bits of the target, from the top.
    private const int BadTileShift = 40, BadWeightShift = 32;

    private readonly Dictionary<(ReadOnlyMemory<float> Values, DType Type), DeviceMemory> _codewords = [];
    private DeviceMemory? _firstBad;
    private bool _targetsUnchecked;

    /// <inheritdoc/>
    public void EncodeTiles(TrellisCodebook codebook, TailBitingWindow window, Tensor targets, Tensor states, CostPrecision costs = CostPrecision.Exact)
    {
        Enter();
        TrellisArguments.PathTiles(onHost: false, codebook, targets, states);
        int windowSteps = window.Steps(codebook);
        if (targets.Rows == 0)
            return;
        var shape = new EncoderShape(codebook, costs);
        CudaKernel kernel = Kernel("encode", shape.KernelName);
        if (kernel.SharedMemory + shape.SharedBytes > _sharedBytes)
        {
            throw new NotSupportedException(
                $"encoding {codebook.Name} at {codebook.Bits} bits needs {(kernel.SharedMemory + shape.SharedBytes) >> 10} KB of shared memory a block; "
                + $"{Name} has {_sharedBytes >> 10} KB; use 2 bits or more, or --device cpu");
        }
        int blocks = Math.Min(shape.Blocks(targets.Rows), _multiprocessors);
        if (_firstBad is null)
        {
            _firstBad = _heap.Allocate(sizeof(ulong));
            new CudaDeviceVariable<ulong>(_firstBad.Address, 1).MemsetAsync(byte.MaxValue, _stream);
        }
        using DeviceMemory history = Scratch(blocks * shape.HistoryBytes);
        kernel.Launch(
            _stream, blocks, shape.Threads,
            new EncodeArgs(
                targets.Address, (nuint)targets.Stride, states.Address, (nuint)states.Stride, targets.Rows, windowSteps, history.Address,
                Codewords(codebook, DType.F16), _firstBad.Address),
            shape.SharedBytes);
        _targetsUnchecked = true;
    }

    /// <inheritdoc/>
    public void DecodeTiles(TrellisCodebook codebook, Tensor states, Tensor values)
    {
        Enter();
        TrellisArguments.PathTiles(onHost: false, codebook, values, states);
        if (states.Rows == 0)
            return;
        Kernel("encode", $"trellis_decode_tiles_v{codebook.Vector}_f32").Launch(
            _stream, Math.Min(states.Rows, _multiprocessors * DecodeWarps), DecodeTilesThreads,
            new DecodeTilesArgs(
                states.Address, (nuint)states.Stride, values.Address, (nuint)values.Stride, states.Rows, Codewords(codebook, DType.F32)));
    }

    /// <summary>After the stream has been waited for: throws if a target that was encoded since the last check was NaN or too large.</summary>
    /// <exception cref="ArithmeticException">Names the tile of its batch, the weight and its value.</exception>
    private void CheckEncodedTargets()
    {
        if (!_targetsUnchecked)
            return;
        _targetsUnchecked = false;
        var flag = new CudaDeviceVariable<ulong>(_firstBad!.Address, 1);
        Span<ulong> firstBad = stackalloc ulong[1];
        flag.CopyToHost(firstBad, _stream);
        if (firstBad[0] == ulong.MaxValue)
            return;
        flag.MemsetAsync(byte.MaxValue, _stream);
        float target = BitConverter.UInt32BitsToSingle((uint)firstBad[0]);
        throw Viterbi.BadTarget((int)(firstBad[0] >> BadTileShift), (int)(byte)(firstBad[0] >> BadWeightShift), target);
    }

    private void DisposeEncoder()
    {
        _firstBad?.Dispose();
        foreach (DeviceMemory memory in _codewords.Values)
            memory.Dispose();
    }

    // The values of all states in device memory, uploaded once.
    private nint Codewords(TrellisCodebook codebook, DType type)
    {
        lock (_codewords)
            return UploadedCodewords(codebook, type);
    }

    private nint UploadedCodewords(TrellisCodebook codebook, DType type)
    {
        if (_codewords.TryGetValue((codebook.Values, type), out DeviceMemory? memory))
            return memory.Address;
        ReadOnlySpan<float> values = codebook.Values.Span;
        ReadOnlySpan<byte> bytes;
        if (type == DType.F32)
        {
            bytes = MemoryMarshal.AsBytes(values);
        }
        else
        {
            var halves = new Half[values.Length];
            for (int i = 0; i < values.Length; i++)
                halves[i] = (Half)values[i];
            bytes = MemoryMarshal.AsBytes(halves.AsSpan());
        }
        memory = _heap.Allocate(bytes.Length);
        _codewords.Add((codebook.Values, type), memory);
        using var view = new CudaDeviceVariable<byte>(memory.Address, bytes.Length);
        view.CopyToDevice(bytes, _stream);
        return memory.Address;
    }

    // The kernels' constants (device/viterbi.cuh) for a code, a rate and an arithmetic.
    private readonly struct EncoderShape
    {
        private readonly int _stepBits, _groups, _words, _tiles, _steps;

        public EncoderShape(TrellisCodebook codebook, CostPrecision costs)
        {
            bool hybrid = codebook.Name == "quantlut_sym" && codebook.Vector == 2 && codebook.Bits is 2 or 3 or 4;
            bool computed = codebook.Name is "1mad" or "3inst" or "mcg" or "mul1" && codebook.Vector == 1 && codebook.Bits is >= 1 and <= 8;
            if (!hybrid && !computed)
            {
                throw new NotSupportedException(
                    $"encoding {codebook.Name}, V = {codebook.Vector}, at {codebook.Bits} bits on the GPU; supported: quantlut_sym (HYB) at 2, 3, 4 bits, "
                    + "1mad, 3inst, mcg, mul1 at 1 to 8 bits");
            }
            bool packed = costs == CostPrecision.PackedHalf;
            _stepBits = codebook.StepBits;
            _steps = codebook.Steps;
            _groups = TrellisCodebook.States >> _stepBits;
            _words = hybrid && !packed ? 2 : 1;
            _tiles = packed ? 2 : _words;
            KernelName = $"trellis_encode_{(hybrid ? "hyb" : "v1")}_k{codebook.Bits}_{(packed ? "f16" : "f32")}";
        }

        public string KernelName { get; }

        public int Threads => EncodeThreads + 32 * _tiles;

        /// <summary>Two buffers of minima, or six quarters of one where those would not fit.</summary>
        public uint SharedBytes => (uint)(_stepBits == 1 ? _groups / 4 * 6 : _groups * 2) * (uint)_words * sizeof(float);

        public long HistoryBytes
        {
            get
            {
                int rowSteps = 8 / _stepBits;
                return (_steps / 2 / rowSteps + 3 + (_steps + rowSteps - 1) / rowSteps) * (long)_groups * _words * sizeof(float);
            }
        }

        public int Blocks(int tiles) => Ceiling(tiles, _tiles);
    }

    private readonly record struct EncodeArgs(
        nint Targets, nuint TargetStride, nint States, nuint StateStride, int Tiles, int Window, nint History, nint Codewords, nint FirstBad);

    private readonly record struct DecodeTilesArgs(nint States, nuint StateStride, nint Values, nuint ValueStride, int Tiles, nint Codewords);
}
