using System.Diagnostics;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

/// <summary>A file system that is full after one mebibyte.</summary>
internal static class SmallDisk
{
    /// <summary>Runs a test on it; skips where none can be mounted.</summary>
    public static void Use(TemporaryFolder folder, Action<string> test)
    {
        string disk = Directory.CreateDirectory(folder.File("disk")).FullName;
        if (!OperatingSystem.IsLinux() || !Run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk))
            Assert.Ignore("mounting a small tmpfs needs Linux and root: the behaviour on a full disk was not tested");
        try
        {
            test(disk);
        }
        finally
        {
            Assert.That(Run("umount", disk), "umount");
        }
    }

    private static bool Run(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
