#!/usr/bin/env bash
# ./build.sh [build|test|demo|bench|format|kernels|bundle] [ARGUMENTS]: forwards to the targets of Directory.Solution.targets. Needs the .NET 10 SDK only;
# kernels needs nvcc 12.4 or newer, or fetches a compile-only one.
set -euo pipefail
cd "$(dirname "$0")"
verb=${1:-build}
[ $# -gt 0 ] && shift
case "$verb" in
    build)  set -- -t:Build "$@" ;;
    test)   set -- -t:RunTests "-p:TestArguments=$*" ;;
    demo)   set -- -t:RunDemo ;;
    bench)  set -- -t:RunBenchmarks "-p:BenchmarkArguments=$*" ;;
    format) set -- -t:CheckFormat ;;
    bundle) set -- -t:Bundle ;;
    kernels) exec cmake/compile-kernels.sh ;;
    *)      echo "usage: ./build.sh [build|test|demo|bench|format|kernels|bundle] [arguments]" >&2; exit 2 ;;
esac
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
exec dotnet msbuild FastKron.Native.sln -restore -nologo -verbosity:minimal -p:Configuration=Release "$@"
