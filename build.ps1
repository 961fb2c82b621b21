# ./build.ps1 [build|test|demo|bench|format|kernels|bundle] [ARGUMENTS]: forwards to the targets of Directory.Solution.targets. Needs the .NET 10 SDK only;
# kernels needs bash and nvcc 12.4 or newer, bundle needs tar and xz.
param([string] $Verb = "build", [Parameter(ValueFromRemainingArguments)] [string[]] $Rest = @())
$ErrorActionPreference = "Stop"
Set-Location $PSScriptRoot
$targets = @{ build = "Build"; test = "RunTests"; demo = "RunDemo"; bench = "RunBenchmarks"; format = "CheckFormat"; bundle = "Bundle" }
if ($Verb -eq "kernels") { & bash cmake/compile-kernels.sh; exit $LASTEXITCODE }
if (-not $targets.ContainsKey($Verb)) { [Console]::Error.WriteLine("usage: ./build.ps1 [build|test|demo|bench|format|kernels|bundle] [arguments]"); exit 2 }
$arguments = @("-t:$($targets[$Verb])")
if ($Verb -eq "test") { $arguments += "-p:TestArguments=$($Rest -join ' ')" }
if ($Verb -eq "bench") { $arguments += "-p:BenchmarkArguments=$($Rest -join ' ')" }
if ($Verb -eq "build") { $arguments += $Rest }
$env:DOTNET_CLI_TELEMETRY_OPTOUT = "1"; $env:DOTNET_NOLOGO = "1"
& dotnet msbuild FastKron.Native.sln -restore -nologo -verbosity:minimal -p:Configuration=Release @arguments
exit $LASTEXITCODE
