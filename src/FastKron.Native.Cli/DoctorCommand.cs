using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Cuda;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron doctor</c>: what this machine has, and whether the arithmetic is right on it.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var dump = new Option<string?>("--dump-cubin") { Description = "write the machine code that the driver makes of every kernel family for cuda:0 to this folder, as FAMILY.cubin, and do nothing else" };
        var command = new Command("doctor", "Tell what this machine has: processor, memory, driver, libraries; and run a self-test.") { dump };
        command.SetAction(parsed => parsed.GetValue(dump) is { } folder ? Dump(folder) : Run());
        return command.WithExamples("fastkron doctor");
    }

    private static int Dump(string folder)
    {
        if (CudaContext.UnavailableReason is { } missing)
            throw new NotSupportedException($"--dump-cubin {folder}: {missing}");
        using var context = new CudaContext(0);
        using var images = new KernelImages(CudaContext.GetDeviceInfo(0).ComputeCapability);
        Directory.CreateDirectory(folder);
        foreach (string family in KernelImages.Families(images.Target))
        {
            string path = Path.Combine(folder, $"{family}.cubin");
            File.WriteAllBytes(path, images.MachineCode(family));
            Console.WriteLine(path);
        }
        return 0;
    }

    private static int Run()
    {
        using var backend = new CpuBackend();
        Line("engine", Engine.Version);
        Line("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.ProcessArchitecture}");
        Line("backend", backend.Name);
        Line("memory", string.Create(CultureInfo.InvariantCulture, $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9:F1} GB usable"));
        Line("cuda driver", CudaContext.IsAvailable ? $"CUDA {CudaContext.GetDriverVersion()}" : CudaContext.UnavailableReason!);
        foreach (CudaLibrary library in CudaLibraries.Names.Skip(1).Select(CudaLibraries.Find))
            Line(library.Name, library.Path ?? $"not found: tried {string.Join(", ", library.Tried)}");
        Line("kernels", KernelImages.Describe());
        for (int device = 0; CudaContext.IsAvailable && device < CudaContext.GetDeviceCount(); device++)
        {
            CudaDeviceProperties properties = CudaContext.GetDeviceInfo(device);
            Line($"cuda:{device}", string.Create(CultureInfo.InvariantCulture,
                $"{properties.DeviceName}, compute capability {properties.ComputeCapability}, {properties.TotalGlobalMemory / 1e9:F1} GB, {properties.MultiProcessorCount} multiprocessors"));
        }
        bool passed = Test(backend);
        for (int device = 0; CudaContext.IsAvailable && KernelImages.AreBuilt && device < CudaContext.GetDeviceCount(); device++)
        {
            try
            {
                using var gpu = new GpuBackend(device);
                passed &= Test(gpu);
            }
            catch (Exception e) when (e is NotSupportedException or CudaException or CudaBlasException or CudaSolveException or DllNotFoundException or OutOfMemoryException)
            {
                Line("self-test", $"not run on cuda:{device}: {e.Message}");
                passed = false;
            }
        }
        return passed ? 0 : 1;
    }

    private static bool Test(IBackend backend)
    {
        double error = SelfTest.Run(backend), tolerance = SelfTest.Tolerance(backend);
        bool passed = error <= tolerance;
        Line("self-test", string.Create(CultureInfo.InvariantCulture, $"{(passed ? "passed" : "FAILED")} on {backend.Name}: encode, decode, rotate, multiply; relative error {error:G2}, accepted {tolerance:G2}"));
        return passed;
    }

    private static void Line(string name, string value) => Console.WriteLine($"{name,-12} {value}");
}
