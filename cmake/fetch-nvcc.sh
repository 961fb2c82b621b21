#!/usr/bin/env bash
# Puts a compile-only nvcc 12.4 into PREFIX (default artifacts/nvcc) without root, from the package sources this Debian machine already uses.
# Needs apt-get, dpkg-deb and g++ 12. About 1 GB is downloaded and 0.6 GB kept.
set -euo pipefail
prefix=$(realpath -m "${1:-$(dirname "$0")/../artifacts/nvcc}")
[ -x "$prefix/bin/nvcc" ] && { echo "$prefix/bin/nvcc"; exit 0; }
for tool in apt-get dpkg-deb; do
    command -v $tool > /dev/null || { echo "fetch-nvcc: no $tool here; install nvcc 12.4 or newer yourself and put it on PATH" >&2; exit 1; }
done

work=$(mktemp -d)
new=$prefix.partial    # becomes the prefix when it is whole
trap 'rm -rf "$work" "$new"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,root}

# The machine's own mirror, suite trixie (the first that packages CUDA 12.4).
mirror=$( (cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }'
           cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '$1 == "URIs:" { print $2; exit }') | head -n 1) || true    # either kind of file may be missing
[ -n "$mirror" ] || { echo "fetch-nvcc: no package source in /etc/apt; install nvcc 12.4 or newer yourself and put it on PATH" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=$([ ! -f $keyring ] || echo "[signed-by=$keyring] ")
echo "deb $signed$mirror trixie main contrib non-free" > "$work/sources.list"
options=(-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none)
apt-get "${options[@]}" -qq update
(cd "$work/debs" && apt-get "${options[@]}" -qq download nvidia-cuda-toolkit libnvvm4 nvidia-cuda-dev libcu++-dev libcub-dev)
for deb in "$work"/debs/*.deb; do
    case "$deb" in
        */nvidia-cuda-dev_*) dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" ./usr/include ;;
        *) dpkg-deb -x "$deb" "$work/root" ;;
    esac
done

rm -rf "$new"
mkdir -p "$new/bin" "$new/lib"
cp -a "$work/root/usr/include" "$new/include"
find "$work/root/usr" -name 'libnvvm.so*' -exec cp -a {} "$new/lib/" \;
find "$work/root/usr" -name 'libdevice*.bc' -exec cp {} "$new/lib/" \;
# The tools lie in several folders (bin, lib/cuda, lib/nvidia-cuda-toolkit/bin); of one name the large file is the program, the other Debian's wrapper.
for tool in nvcc ptxas cicc cudafe++ fatbinary nvlink cuobjdump nvdisasm; do
    path=$(find "$work/root/usr" -type f -name "$tool" -size +100k | head -n 1)
    [ -n "$path" ] || { echo "fetch-nvcc: no $tool in the packages" >&2; exit 1; }
    cp "$path" "$new/bin/$tool"
done
cat > "$new/bin/nvcc.profile" <<PROFILE
TOP              = $prefix
NVVMIR_LIBRARY_DIR = $prefix/lib
LD_LIBRARY_PATH += $prefix/lib
PATH            += $prefix/bin:
INCLUDES        += "-I$prefix/include" \$(_SPACE_)
LIBRARIES       =+ \$(_SPACE_) "-L$prefix/lib"
CUDAFE_FLAGS    +=
PTXAS_FLAGS     +=
PROFILE
"$new/bin/nvcc" --version > /dev/null
rm -rf "$prefix"
mv "$new" "$prefix"
echo "$prefix/bin/nvcc"
