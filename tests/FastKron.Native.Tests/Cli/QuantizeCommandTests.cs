using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

/// <summary>Whole runs in processes of their own: killed, interrupted, out of disk, refused, resumed.</summary>
public sealed class QuantizeCommandTests
{
    private string _folder = "", _model = "";

    [SetUp]
    public void SetUp()
    {
        _folder = Directory.CreateTempSubdirectory("fastkron-cli-").FullName;
        _model = GeneratedModel.Write(Path.Combine(_folder, "model"));
    }

    [TearDown]
    public void TearDown() => Directory.Delete(_folder, recursive: true);

    [TestCase(2, 20)]
    [TestCase(2.5, 5)]
    public void Quantize_KilledAtRandomPoints_GivesTheSameBytes(double bits, int wantedKills)
    {
        long start = Stopwatch.GetTimestamp();
        string expectedFolder = Output("expected");
        RunToEnd(expectedFolder, Arguments(expectedFolder, bits: bits));
        TimeSpan whole = Stopwatch.GetElapsedTime(start);
        Dictionary<string, string> expected = Hashes(expectedFolder);

        var random = new Random(7);
        int kills = 0;
        for (int round = 0; kills < wantedKills; round++)
        {
            string output = Output($"killed-{round}");
            for (bool finished = false; !finished;)
            {
                using FastkronProcess process = FastkronProcess.Start(Arguments(output, bits: bits));
                Thread.Sleep(whole * random.NextDouble());
                finished = process.HasExited;
                if (!finished)
                {
                    process.Kill();
                    kills++;
                    finished = random.Next(3) == 0;      // some rounds are killed several times before they may end
                }
            }
            if (!Directory.Exists(output))
                RunToEnd(output, Arguments(output, bits: bits));
            Assert.That(Hashes(output), Is.EquivalentTo(expected), $"round {round}");
            Assert.That(Directory.Exists(output + ".run"), Is.False, "the run directory goes when the output is there");
            Directory.Delete(output, recursive: true);
        }
    }

    [Test]
    public void Quantize_Interrupted_EndsWithin5SecondsWithCode130AndResumes()
    {
        string output = Output("interrupted");
        string[] arguments = Arguments(output, tokens: 262_144);
        using FastkronProcess process = FastkronProcess.Start(arguments);
        WaitForWork(process, output);
        Thread.Sleep(300);
        Assert.That(process.HasExited, Is.False, "the run must be in work when it is interrupted");
        long start = Stopwatch.GetTimestamp();
        process.Interrupt();
        process.Interrupt();                                    // as timeout does: to the process and to its group
        FastkronResult result = process.Wait();
        Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(TimeSpan.FromSeconds(5)));
        Assert.That(result.ExitCode, Is.EqualTo(130), result.Error);
        Assert.That(Directory.Exists(output), Is.False);
        RunToEnd(output, arguments);
    }

    [Test]
    public void Quantize_DiskFull_StopsCleanlyAndResumesWithRoom()
    {
        string disk = Path.Combine(_folder, "disk");
        Directory.CreateDirectory(disk);
        if (!Mount("-t", "tmpfs", "-o", "size=96k", "tmpfs", disk))
            Assert.Ignore("mounting a tmpfs needs root; this check did not run");
        try
        {
            string output = Path.Combine(disk, "out");
            FastkronResult full = FastkronProcess.Run(Arguments(output));
            Assert.That(full.ExitCode, Is.EqualTo(1), full.Error);
            Assert.That(full.Error, Does.Contain(disk).And.Not.Contain("   at "), "one line with the path, no stack trace");
            Assert.That(Directory.Exists(output), Is.False);
            Assert.That(Mount("-o", "remount,size=64m", disk), Is.True);
            RunToEnd(output);
        }
        finally
        {
            Process.Start("umount", [disk]).WaitForExit();
        }
    }

    [Test]
    public void Quantize_OtherOptionsInTheSameRunDirectory_AreRefusedByName()
    {
        string output = Output("changed");
        using (FastkronProcess process = FastkronProcess.Start(Arguments(output, tokens: 65536)))
        {
            WaitForWork(process, output, finished: true);
            process.Kill();
        }
        FastkronResult refused = FastkronProcess.Run(Arguments(output, tokens: 65536, bits: 3));
        Assert.That(refused.ExitCode, Is.EqualTo(1));
        Assert.That(refused.Error, Does.Contain("bits was 2, is 3"));
    }

    [Test]
    public void Quantize_ExistingOutput_IsRefusedAndKept()
    {
        string output = Output("kept");
        Directory.CreateDirectory(output);
        FastkronResult refused = FastkronProcess.Run(Arguments(output));
        Assert.That(refused.ExitCode, Is.EqualTo(1));
        Assert.That(refused.Error, Does.Contain("exists already"));
        Assert.That(Directory.EnumerateFileSystemEntries(output), Is.Empty);
    }

    [Test]
    public void Quantize_DenseFormat_WritesAModelThatReadsBack()
    {
        string output = Output("dense");
        RunToEnd(output, [.. Arguments(output), "--format", "dense"]);
        Assert.That(FastkronProcess.Run("inspect", output, "--digest").ExitCode, Is.Zero);
        Assert.That(File.ReadAllText(Path.Combine(output, "config.json")), Does.Not.Contain("quip_params"));
    }

    [Test]
    public void Quantize_DryRun_PrintsThePlanAndWritesNothing()
    {
        string output = Output("dry");
        FastkronResult result = FastkronProcess.Run([.. Arguments(output), "--dry-run"]);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.Output, Does.Contain("disk").And.Contain("time, total"));
        FastkronResult machine = FastkronProcess.Run([.. Arguments(output), "--dry-run", "--json"]);
        Assert.That(JsonDocument.Parse(machine.Output).RootElement.GetProperty("matrices").GetInt32(), Is.EqualTo(7 * GeneratedModel.Layers));
        Assert.That(Path.Exists(output) || Path.Exists(output + ".run"), Is.False);
    }

    [Test]
    public void Quantize_Finished_LeavesAReportWithEveryMatrix()
    {
        string output = Output("report");
        RunToEnd(output);
        QuantizationReport report = ReportFiles.Read(output);
        Assert.That(report.Linears, Has.Count.EqualTo(7 * GeneratedModel.Layers));
        Assert.That(report.Linears.Select(l => l.Rounding.Method), Is.All.EqualTo("two-sided"));
        Assert.That(report.Linears.Select(l => l.Rounding.ProxyError), Is.All.InRange(1e-6, 0.2));
        Assert.That(report.Size.CodeBits, Is.EqualTo(2));
        Assert.That(File.ReadAllText(Path.Combine(output, ReportFiles.Html)), Does.Contain("<svg").And.Contain("model.layers.1.mlp.down_proj"));
    }

    [TestCase(2.5)]
    [TestCase(3, "--mixed")]
    public void Quantize_MixedBits_StaysWithinTheAverageAndReadsBack(double average, params string[] option)
    {
        string output = Output("mixed");
        RunToEnd(output, [.. Arguments(output, bits: average), .. option]);
        QuantizationReport report = ReportFiles.Read(output);
        double smallest = report.Linears.Min(l => (double)l.Rows * l.Columns);
        Assert.That(report.Size.CodeBits, Is.GreaterThan(average - smallest / report.Size.QuantizedParameters).And.LessThanOrEqualTo(average));
        Assert.That(report.Linears.Select(l => l.CodeBits).Distinct().Count(), Is.GreaterThan(1));
        FastkronResult shown = FastkronProcess.Run("inspect", output);
        Assert.That(shown.ExitCode, Is.Zero, shown.Error);
        foreach (LinearReport linear in report.Linears.Where(l => l.CodeBits == 3))
            Assert.That(shown.Output, Does.Contain(linear.Name));
    }

    [TestCase("quantize")]
    [TestCase("quantize", "MODEL", "--bits", "5", "--output", "x")]
    [TestCase("quantize", "MODEL", "--bits", "1.5", "--output", "x")]
    [TestCase("quantize", "MODEL", "--bits", "2.5", "--factors", "activation", "--output", "x")]
    [TestCase("quantize", "MODEL", "--bits", "2,5", "--output", "x")]
    [TestCase("quantize", "MODEL", "--bits", "2", "--output", "x", "--prompt", "The sea")]
    [TestCase("nonsense")]
    public void Command_BadUsage_ExitsWith2(params string[] arguments)
    {
        FastkronResult result = FastkronProcess.Run(arguments);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(2));
            Assert.That(result.Output, Is.Empty, "standard output is for results");
            Assert.That(result.Error, Does.StartWith("fastkron: ").Or.Contain("\nfastkron: "));
        }
    }

    [Test]
    public void Quantize_MissingModel_NamesThePath()
    {
        FastkronResult result = FastkronProcess.Run("quantize", Path.Combine(_folder, "nowhere"), "--bits", "2", "--output", Output("x"));
        Assert.That(result.ExitCode, Is.EqualTo(1));
        Assert.That(result.Error, Does.Contain("nowhere").And.Not.Contain("   at "));
    }

    // The journal appears when the work begins and gets a line with every step; a process that ends before that fails the test instead of hanging it.
    private static void WaitForWork(FastkronProcess process, string output, bool finished = false)
    {
        while (!File.Exists(Path.Combine(output + ".run", "journal.jsonl")) || (finished && RunDirectory.CountFinished(output + ".run") == 0))
        {
            if (process.HasExited)
                Assert.Fail($"fastkron ended before its work began: {process.Wait().Error}");
            Thread.Sleep(20);
        }
    }

    private string Output(string name) => Path.Combine(_folder, name);

    private string[] Arguments(string output, int tokens = 512, double bits = 2)
        => ["quantize", _model, "--bits", bits.ToString(CultureInfo.InvariantCulture), "--gradients", "4", "--tokens", $"{tokens}", "--context", "64", "--output", output];

    private void RunToEnd(string output, string[]? arguments = null)
    {
        FastkronResult result = FastkronProcess.Run(arguments ?? Arguments(output));
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(Directory.Exists(output), Is.True);
    }

    // Every file but the reports, which hold seconds.
    private static Dictionary<string, string> Hashes(string folder) => Directory.EnumerateFiles(folder)
        .Where(f => Path.GetFileName(f) is not (ReportFiles.Json or ReportFiles.Html))
        .ToDictionary(f => Path.GetFileName(f), f => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(f))));

    private static bool Mount(params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("mount", arguments) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
