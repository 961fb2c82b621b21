using BenchmarkDotNet.Running;
using FastKron.Native.Benchmarks.Quality;
using FastKron.Native.Benchmarks.Results;

// ./build.sh bench quality | cpu [SUITE…] | tables | BenchmarkDotNet arguments
string repository = RepositoryRoot.Find();
switch (args)
{
    case ["quality"]:
        await new QualityTable(repository, Environment.GetEnvironmentVariable("FASTKRON_SHARED") ?? Path.Combine(repository, "..", "shared")).RunAsync();
        break;
    case ["cpu", .. var filter]:
        CpuResults.Run(repository, filter);
        break;
    case ["tables"]:
        ReadmeTables.Write(repository);
        break;
    default:
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
        break;
}
