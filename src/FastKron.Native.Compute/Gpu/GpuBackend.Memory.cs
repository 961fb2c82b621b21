using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed unsafe partial class GpuBackend
{
    // device/elementwise.cuh
    private const int ElementwiseThreads = 256, ThreadElements = 8, PackBytes = 16, LargestGrid = 65535;

    /// <inheritdoc/>
    public Tensor Allocate(DType type, int rows, int columns)
    {
        Enter();
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        DeviceMemory memory = _heap.Allocate((long)rows * columns * type.Size());
        return new Tensor(memory, memory.Address, isHost: false, type, rows, columns, columns);
    }

    /// <inheritdoc/>
    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination) where T : unmanaged
    {
        Enter();
        TensorArguments.RequireMemory(destination, onHost: false);
        TensorArguments.RequireElements<T>(destination, source.Length);
        if (!destination.IsContiguous)
        {
            using Tensor packed = Allocate(destination.Type, destination.Rows, destination.Columns);
            Upload(source, packed);
            Convert(packed, destination);
            return;
        }
        fixed (T* from = source)
            _staging.Upload(from, destination.Address, destination.Bytes);
    }

    /// <inheritdoc/>
    public void Download<T>(Tensor source, Span<T> destination) where T : unmanaged
    {
        Enter();
        TensorArguments.RequireMemory(source, onHost: false);
        TensorArguments.RequireElements<T>(source, destination.Length);
        if (!source.IsContiguous)
        {
            using Tensor packed = Converted(source, source.Type);
            Download(packed, destination);
            return;
        }
        fixed (T* to = destination)
            _staging.Download(source.Address, to, source.Bytes);
        CheckEncodedTargets();
    }

    /// <inheritdoc/>
    public void Convert(Tensor source, Tensor destination)
    {
        Enter();
        MatrixArguments.Convert(onHost: false, source, destination);
        var walk = new Walk(source, destination);
        if (walk.IsEmpty)
            return;
        var args = new ConvertArgs(
            destination.Address, source.Address, (nuint)destination.Stride, (nuint)source.Stride, walk.Rows, walk.Columns, walk.Aligned);
        Kernel("memory", ConvertKernel(source.Type, destination.Type)).Launch(_stream, walk.Grid, walk.Block, args);
    }

    /// <inheritdoc/>
    public void Fill(Tensor destination, double value)
    {
        Enter();
        TensorArguments.RequireMemory(destination, onHost: false);
        ulong bits = destination.Type switch
        {
            DType.F32 => BitConverter.SingleToUInt32Bits((float)value),
            DType.F64 => BitConverter.DoubleToUInt64Bits(value),
            DType.BF16 => ElementConversion.ToBFloat16(value).Bits,
            DType.F16 => BitConverter.HalfToUInt16Bits((Half)value),
            DType.I32 => unchecked((uint)checked((int)value)),
            _ => checked((ushort)value),
        };
        var walk = new Walk(destination);
        if (walk.IsEmpty)
            return;
        nuint stride = (nuint)destination.Stride;
        switch (destination.Type.Size())
        {
            case 2:
                Kernel("memory", "fill_16").Launch(_stream, walk.Grid, walk.Block, new FillArgs<ushort>(destination.Address, stride, walk.Rows, walk.Columns, walk.Aligned, (ushort)bits));
                break;
            case 4:
                Kernel("memory", "fill_32").Launch(_stream, walk.Grid, walk.Block, new FillArgs<uint>(destination.Address, stride, walk.Rows, walk.Columns, walk.Aligned, (uint)bits));
                break;
            default:
                Kernel("memory", "fill_64").Launch(_stream, walk.Grid, walk.Block, new FillArgs<ulong>(destination.Address, stride, walk.Rows, walk.Columns, walk.Aligned, bits));
                break;
        }
    }

    /// <summary>A temporary of the stream: dispose it once the work that uses it is enqueued.</summary>
    /// <param name="bytes">Size.</param>
    private DeviceMemory Scratch(long bytes) => _heap.Allocate(bytes);

    /// <summary>A temporary copy without gaps in another type.</summary>
    private Tensor Converted(Tensor source, DType type)
    {
        Tensor copy = Allocate(type, source.Rows, source.Columns);
        Convert(source, copy);
        return copy;
    }

    private static string ConvertKernel(DType source, DType destination) => (source, destination) switch
    {
        _ when source == destination => source.Size() switch { 2 => "copy_16", 4 => "copy_32", _ => "copy_64" },
        (DType.F32, DType.F64) => "convert_f32_f64",
        (DType.F32, DType.BF16) => "convert_f32_bf16",
        (DType.F32, DType.F16) => "convert_f32_f16",
        (DType.F64, DType.F32) => "convert_f64_f32",
        (DType.F64, DType.BF16) => "convert_f64_bf16",
        (DType.F64, DType.F16) => "convert_f64_f16",
        (DType.BF16, DType.F32) => "convert_bf16_f32",
        (DType.BF16, DType.F64) => "convert_bf16_f64",
        (DType.BF16, DType.F16) => "convert_bf16_f16",
        (DType.F16, DType.F32) => "convert_f16_f32",
        (DType.F16, DType.F64) => "convert_f16_f64",
        (DType.F16, DType.BF16) => "convert_f16_bf16",
        _ => throw new ArgumentException($"no conversion from {source} to {destination}"),
    };

    /// <summary>Launch of an elementwise kernel over tensors of one shape; those without gaps are walked as one row.</summary>
    private readonly ref struct Walk
    {
        public Walk(params ReadOnlySpan<Tensor> tensors)
        {
            bool contiguous = true, aligned = true;
            foreach (Tensor tensor in tensors)
                contiguous &= tensor.IsContiguous;
            Tensor first = tensors[0];
            (long rows, long columns) = contiguous ? (Math.Min(1, first.Length), first.Length) : (first.Rows, first.Columns);
            foreach (Tensor tensor in tensors)
                aligned &= IsAligned(tensor.Address) && (rows <= 1 || IsAligned(tensor.Stride * tensor.Type.Size()));
            this = new Walk(rows, columns, aligned);
        }

        public Walk(long rows, long columns, bool aligned)
        {
            (Rows, Columns, Aligned) = ((nuint)rows, (nuint)columns, aligned ? 1 : 0);
            long groups = Math.Max(1, (columns + ThreadElements - 1) / ThreadElements);
            uint x = groups >= ElementwiseThreads ? ElementwiseThreads : System.Numerics.BitOperations.RoundUpToPowerOf2((uint)groups), y = ElementwiseThreads / x;
            Block = new dim3(x, y);
            Grid = new dim3((uint)((groups + x - 1) / x), (uint)Math.Clamp((rows + y - 1) / y, 1, LargestGrid));
        }

        public nuint Rows { get; }

        public nuint Columns { get; }

        public int Aligned { get; }

        public dim3 Grid { get; }

        public dim3 Block { get; }

        public bool IsEmpty => Rows == 0 || Columns == 0;

        private static bool IsAligned(nint bytes) => bytes % PackBytes == 0;
    }

    /// <summary>Whether every row of every tensor begins at a multiple of 16 bytes.</summary>
    private static bool RowsAligned(params ReadOnlySpan<Tensor> tensors)
    {
        foreach (Tensor tensor in tensors)
        {
            if (tensor.Address % PackBytes != 0 || (tensor.Rows > 1 && tensor.Stride * tensor.Type.Size() % PackBytes != 0))
                return false;
        }
        return true;
    }

    private readonly record struct ConvertArgs(nint Destination, nint Source, nuint DestinationStride, nuint SourceStride, nuint Rows, nuint Columns, int Aligned);

    private readonly record struct FillArgs<T>(nint Destination, nuint Stride, nuint Rows, nuint Columns, int Aligned, T Value) where T : unmanaged;
}
