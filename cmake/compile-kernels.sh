#!/usr/bin/env bash
# Compiles kernels/*.cu to PTX: artifacts/ptx/<target>/<family>.ptx, manifest.json (source hash, nvcc, flags) and resources.txt (registers,
# shared memory, stack, spills of every kernel on every architecture). Fails on a spill or stack frame that kernels/exceptions.txt does not list.
# nvcc: $NVCC, else the one on PATH, else artifacts/nvcc, else one that fetch-nvcc.sh puts there.
set -euo pipefail
cd "$(dirname "$0")/.."
out=artifacts/ptx
targets=(compute_80 compute_90a)
flags=(-std=c++17 -lineinfo -I kernels -Werror all-warnings)

nvcc=$(command -v "${NVCC:-nvcc}" || true)
if [ -n "${NVCC:-}" ] && [ -z "$nvcc" ]; then
    echo "kernels: NVCC is $NVCC, expected a program" >&2
    exit 1
fi
[ -n "$nvcc" ] || nvcc=artifacts/nvcc/bin/nvcc
if [ ! -x "$nvcc" ]; then
    echo "kernels: no nvcc on PATH or in artifacts/nvcc; fetching one" >&2
    nvcc=$(cmake/fetch-nvcc.sh | tail -n 1)
fi
version=$("$nvcc" --version | grep -oE 'V[0-9]+(\.[0-9]+)+' | tail -n 1 | cut -c2-)
[ "$(printf '12.4\n%s\n' "$version" | sort -V | head -n 1)" = 12.4 ] || { echo "kernels: $nvcc is $version, expected 12.4 or newer" >&2; exit 1; }
ptxas=$(dirname "$(realpath "$nvcc")")/ptxas
[ -x "$ptxas" ] || ptxas=$(command -v ptxas) || { echo "kernels: no ptxas beside $nvcc or on PATH" >&2; exit 1; }

mapfile -t families < <(basename -s .cu kernels/*.cu | LC_ALL=C sort)
sources=$(find kernels -name '*.cu' -o -name '*.cuh' -o -name exceptions.txt | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
list() { printf ', "%s"' "$@" | cut -c3-; }
manifest="{ \"sources\": \"$sources\", \"nvcc\": \"$version\", \"flags\": \"${flags[*]}\", \"targets\": [$(list "${targets[@]}")], \"families\": [$(list "${families[@]}")] }"
if [ -f $out/manifest.json ] && [ "$(cat $out/manifest.json)" = "$manifest" ]; then
    echo "kernels: up to date, ${#families[@]} families, nvcc $version, sources ${sources:0:12}"
    exit 0
fi

work=$out.partial
rm -rf $work
for target in "${targets[@]}"; do
    mkdir -p "$work/$target"
    printf '%s\n' "${families[@]}" | xargs -P "$(nproc)" -I{} "$nvcc" -ptx -arch="$target" "${flags[@]}" -o "$work/$target/{}.ptx" "kernels/{}.cu"
done
sed -i "s|\"$PWD/|\"|" $work/*/*.ptx    # the same bytes wherever the repository lies

# Portable PTX on every architecture that this nvcc knows from 8.0 on, the other on the one that it is for.
architectures() { # architectures TARGET
    if [ "$1" = compute_90a ]; then
        echo sm_90a
    else
        "$nvcc" --list-gpu-code | grep -E '^sm_(8|9|[0-9]{2})[0-9]$' | sort -V
    fi
}
report() { # report TARGET FAMILY ARCHITECTURE: "family kernel architecture registers shared stack spilled" a line, to a file of its own, as lines of side-by-side writers would mix
    "$ptxas" -v --warning-as-error -arch="$3" -o /dev/null "$work/$1/$2.ptx" 2>&1 | awk -v architecture="$3" -v family="$2" '
        function number(text, unit) { return match(text, "[0-9]+ " unit) ? substr(text, RSTART) + 0 : 0 }
        function larger(a, b) { return a > b ? a : b }
        /Compiling entry function/ { split($0, parts, "\047"); kernel = parts[2]; stack = spilled = 0; next }
        /bytes stack frame/ { stack = larger(stack, number($0, "bytes stack frame")); spilled = larger(spilled, number($0, "bytes spill stores")); next }
        /Used [0-9]+ registers/ { printf "%-12s %-44s %-7s %4d %6d %6d %6d\n", family, kernel, architecture, number($0, "registers"), number($0, "bytes smem"), stack, spilled; next }
        /error|warning|fatal/ { print > "/dev/stderr" }' > "$work/resources/$1-$2-$3"
}
export ptxas work
export -f report
mkdir $work/resources
for target in "${targets[@]}"; do
    for architecture in $(architectures "$target"); do
        printf "$target %s $architecture\n" "${families[@]}"
    done
done | xargs -P "$(nproc)" -L 1 bash -o pipefail -c 'report "$@"' report
{
    printf '%-12s %-44s %-7s %4s %6s %6s %6s\n' '# family' kernel arch regs shared stack spills
    cat $work/resources/* | LC_ALL=C sort
} > $work/resources.txt
rm -r $work/resources

# Exceptions: "kernel reason" a line; one that is no longer needed must go.
allowed=$(awk '!/^(#|driver:|$)/ { print $1 }' kernels/exceptions.txt | LC_ALL=C sort -u)
found=$(awk '$1 !~ /^#/ && ($6 > 0 || $7 > 0) { print $2 }' $work/resources.txt | LC_ALL=C sort -u)
unexpected=$(comm -13 <(echo "$allowed") <(echo "$found"))
stale=$(comm -23 <(echo "$allowed") <(echo "$found"))
if [ -n "$unexpected$stale" ]; then
    for kernel in $unexpected; do
        echo "kernels: $kernel spills or has a stack frame (family kernel arch registers shared stack spills):" >&2
        awk -v kernel="$kernel" '$2 == kernel && ($6 > 0 || $7 > 0)' $work/resources.txt >&2
    done
    for kernel in $stale; do
        echo "kernels: $kernel needs no exception; remove its line from kernels/exceptions.txt" >&2
    done
    exit 1
fi

echo "$manifest" > $work/manifest.json
rm -rf $out
mv $work $out
echo "kernels: $(grep -c ' sm_90a ' $out/resources.txt) kernels of ${#families[@]} families to $out, nvcc $version, sources ${sources:0:12}; resources in $out/resources.txt"
