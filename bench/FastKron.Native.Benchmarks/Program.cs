using BenchmarkDotNet.Running;
using FastKron.Native.Benchmarks.Results;

// ./build.sh bench cpu [SUITE…] | tables | BenchmarkDotNet arguments
string repository = RepositoryRoot.Find();
switch (args)
{
    case ["cpu", .. var filter]:
        CpuResults.Run(repository, filter);
        break;
    case ["tables"]:
        ResultTables.Write(repository);
        break;
    default:
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
        break;
}
