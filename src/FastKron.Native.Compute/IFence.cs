namespace FastKron.Native.Compute;

/// <summary>A point in a backend's order of work, made by <see cref="IBackend.Mark"/> or <see cref="IBackend.StartCopy"/>.</summary>
/// <remarks>On a device it holds a small driver object, which goes with the fence; those made in great numbers are better disposed.</remarks>
public interface IFence : IDisposable
{
    /// <summary>Whether the work before it is done; does not wait.</summary>
    bool IsPassed { get; }

    /// <summary>Waits until the work before it is done.</summary>
    void Wait();

    /// <summary>Seconds of the device between two fences of one backend; waits for both.</summary>
    double SecondsSince(IFence earlier);
}
