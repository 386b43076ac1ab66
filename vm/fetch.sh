#!/bin/bash
# fetch.sh [SUITE]
#
# Puts into the cache what a virtual machine needs, and prints the folder of the kernel:
# vmlinuz and modules/ of SUITE's newest Debian kernel (trixie-backports), beside it a static
# busybox. Kernel and busybox are unpacked there and never installed. QEMU is installed when it
# is missing and we are root. The machine's own apt sources stay as they are: address and
# credentials come from them, lists and downloads live in the cache.
#
# Exit 69 with the reason on standard error: something can't be had here (the caller skips).
set -euo pipefail

suite=${1:-trixie-backports}
cache=${XSEND_VM_CACHE:-$HOME/.cache/xsend-vm}
kernel=$cache/kernel-$suite

unavailable() {
	echo "$*" >&2
	exit 69
}

# The address of the Debian archive that this machine is configured to use.
archive() {
	[ "${ID:-}" = debian ] || unavailable "not Debian: apt names no Debian archive to take a kernel from"
	command -v apt-get >/dev/null || unavailable "no apt-get to download a kernel with"
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v r="$VERSION_CODENAME" '$1 == r && $2 == "main" { print $3; exit }'
}

# private NAME SUITE...: an apt configuration of its own under the cache, index downloaded.
private() {
	local name=$1 uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	shift
	uri=$(archive)
	[ -n "$uri" ] || unavailable "apt has no address for Debian $VERSION_CODENAME"
	apt=$cache/apt-$name
	mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
	{
		printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$*"
		if [ -e $keyring ]; then echo "Signed-By: $keyring"; fi
	} >"$apt/archive.sources"
	aptly get -o APT::Update::Error-Mode=any update || unavailable "apt-get update of $* failed: $(tail -n 1 "$apt/log")"
}

# aptly get|cache ARG...: apt-get or apt-cache with the configuration private made.
aptly() {
	local tool=apt-$1
	shift
	timeout 300 "$tool" -qq -o Dir::Etc::SourceList="$apt/archive.sources" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@" 2>>"$apt/log"
}

# unpack DIR PACKAGE...: download and unpack; nothing of it runs, dpkg's own records are not read.
unpack() {
	local to=$1 debs
	shift
	debs=$(mktemp -d "$cache/debs.XXXXXX")
	(cd "$debs" && aptly get -o Dir::State::Status=/dev/null download "$@" >>"$apt/log") ||
		unavailable "apt-get download $* failed: $(tail -n 1 "$apt/log")"
	for deb in "$debs"/*.deb; do dpkg -x "$deb" "$to"; done
	rm -rf "$debs"
}

# From 7.x on linux-image-V is empty and the files lie in linux-binary-V and linux-modules-V.
fetch_kernel() {
	local version packages root
	private "$suite" "$suite"
	version=$(aptly cache -o Dir::State::Status=/dev/null depends linux-image-amd64 |
		sed -n 's/.*Depends: linux-image-\([0-9].*\)/\1/p' | head -n 1)
	[ -n "$version" ] || unavailable "$suite has no linux-image-amd64"
	packages="linux-binary-$version linux-modules-$version"
	aptly cache show linux-binary-"$version" >/dev/null || packages=linux-image-$version
	root=$(mktemp -d "$cache/kernel.XXXXXX")
	# shellcheck disable=SC2086
	unpack "$root" $packages
	mv "$(find "$root" -name 'vmlinuz*' -type f)" "$root/vmlinuz"
	mv "$(find "$root" -path '*/lib/modules/*' -prune -type d)" "$root/modules"
	echo "$version" >"$root/version"
	mv "$root" "$kernel"
}

fetch_busybox() {
	local root
	private own "$VERSION_CODENAME" "$VERSION_CODENAME-backports"
	root=$(mktemp -d "$cache/busybox.XXXXXX")
	unpack "$root" busybox-static
	mv "$(find "$root" -name busybox -type f -perm -u+x)" "$cache/busybox"
	rm -rf "$root"
}

# igb came with QEMU 8; bookworm has 7.2, so on it the backport is taken.
fetch_qemu() {
	local from=()
	[ "$(id -u)" = 0 ] || unavailable "qemu-system-x86_64 isn't installed and only root can install it"
	private own "$VERSION_CODENAME" "$VERSION_CODENAME-backports"
	if [ "$VERSION_CODENAME" = bookworm ]; then from=(-t bookworm-backports); fi
	DEBIAN_FRONTEND=noninteractive aptly get install -y --no-install-recommends "${from[@]}" \
		qemu-system-x86 </dev/null >>"$apt/log" || unavailable "installing QEMU failed: $(tail -n 1 "$apt/log")"
}

[ "$(uname -m)" = x86_64 ] || unavailable "igb is emulated for an x86_64 guest; this machine is $(uname -m)"
. /etc/os-release
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

command -v qemu-system-x86_64 >/dev/null || fetch_qemu
qemu-system-x86_64 -device help 2>/dev/null | grep -q '"igb"' ||
	unavailable "the qemu-system-x86_64 installed here has no igb; version 8 or newer is needed"
[ -x "$cache/busybox" ] || fetch_busybox
[ -e "$kernel/version" ] || fetch_kernel
echo "$kernel"
