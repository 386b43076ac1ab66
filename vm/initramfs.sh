#!/bin/bash
# initramfs.sh KERNEL OUT SCENARIO [BINARY...]
#
# Writes the cpio archive OUT that a guest boots from: busybox, ip, tc and ethtool of this
# machine, the BINARYs in /bin, guest/init, guest/net.sh, SCENARIO as /scenario.sh, and the
# modules that SCENARIO's line "# modules: ..." asks for with everything those depend on.
# KERNEL is the folder that fetch.sh printed. Exit 69: a tool of this machine is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
kernel=$1 out=$2 scenario=$3
shift 3
busybox=${XSEND_VM_CACHE:-$HOME/.cache/xsend-vm}/busybox
root=$(mktemp -d)
trap 'rm -rf "$root" "$root.modules"' EXIT

# program PATH: into /bin, together with the shared libraries it is linked with.
program() {
	cp "$(readlink -f "$1")" "$root/bin/$(basename "$1")"
	{ ldd "$1" 2>/dev/null || true; } | grep -oE '/[^ ]+' | while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		cp -nL "$lib" "$root$lib"
	done || true
}

# module NAME: after the modules it depends on, and in that order into /lib/modules/order.
# A name without a file is taken for built in; the guest says so if it was needed.
module() {
	local name=${1//-/_} file to dep
	to=$root/lib/modules/$name.ko
	[ ! -e "$to" ] || return 0
	file=$(sed -n "s|^$name/||p" "$root.modules" | head -n 1)
	[ -n "$file" ] || return 0
	case $file in
	*.xz) xz -dc "$file" >"$to" ;;
	*.zst) zstd -qdc "$file" >"$to" ;;
	*) cp "$file" "$to" ;;
	esac
	for dep in $(tr '\0' '\n' <"$to" | sed -n 's/^depends=//p' | tr , ' '); do module "$dep"; done
	echo "$name" >>"$root/lib/modules/order"
}

# One line per module: its name as the kernel writes it (with underscores), a slash, its file.
list_modules() {
	find "$(cd "$kernel" && pwd)/modules" -name '*.ko*' -printf '%f/%p\n' |
		awk -F/ -v OFS=/ '{ sub(/\.ko.*/, "", $1); gsub(/-/, "_", $1); print }' >"$root.modules"
}

mkdir -p "$root"/{bin,lib/modules,proc,sys,dev,run,tmp,out}
: >"$root/lib/modules/order"
cp "$busybox" "$root/bin/busybox"
for tool in ip tc ethtool; do
	path=$(command -v $tool) || { echo "$tool isn't installed on this machine" >&2; exit 69; }
	program "$path"
done
for binary in "$@"; do program "$binary"; done

list_modules
for name in virtio_blk $(sed -n 's/^# modules: //p' "$scenario"); do module "$name"; done

cp "$here/guest/init" "$root/init"
cp "$here/guest/net.sh" "$root/net.sh"
cp "$scenario" "$root/scenario.sh"
chmod 755 "$root/init"
(cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$out"
