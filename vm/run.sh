#!/bin/bash
# run.sh KERNEL INITRAMFS OUT [DEVICE_A [DEVICE_B [DEVICE_C]]]
#
# Boots one guest, emulated (KVM can't be counted on), with two NICs (igb) on one hub, and a third one where it is named.
# OUT receives console.log, wire.pcap (what passed A's port of the hub, written by QEMU and not by
# the guest) and the files that the scenario left in /out. Exit: the scenario's own code, or 90
# when the guest did not get as far as reporting one; the reason is on standard error.
# TIMEOUT (seconds, 300) and MEMORY (MiB, 768) can be set.
set -euo pipefail

kernel=$1 initramfs=$2 out=$3 device_a=${4:-igb} device_b=${5:-igb} device_c=${6:-}
limit=${TIMEOUT:-300}
mkdir -p "$out"
: >"$out/disk"
truncate -s 256M "$out/disk"

third=()
if [ -n "$device_c" ]; then
	third=(-netdev hubport,hubid=0,id=n2 -device pcie-root-port,id=rp2,chassis=3,slot=3
		-device "$device_c,bus=rp2,netdev=n2,mac=52:54:00:00:00:0c")
fi

rc=0
timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max \
	-m "${MEMORY:-768}" -smp 2 -nodefaults -no-reboot -display none -serial stdio \
	-kernel "$kernel/vmlinuz" -initrd "$initramfs" \
	-append "console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable" \
	-netdev hubport,hubid=0,id=n0 -netdev hubport,hubid=0,id=n1 \
	-object filter-dump,id=wire,netdev=n0,file="$out/wire.pcap",maxlen=65536 \
	-device pcie-root-port,id=rp0,chassis=1,slot=1 -device pcie-root-port,id=rp1,chassis=2,slot=2 \
	-device "$device_a,bus=rp0,netdev=n0,mac=52:54:00:00:00:0a" \
	-device "$device_b,bus=rp1,netdev=n1,mac=52:54:00:00:00:0b" \
	"${third[@]}" \
	-drive file="$out/disk",format=raw,if=virtio,cache=unsafe \
	-device isa-debug-exit,iobase=0xf4,iosize=0x04 \
	</dev/null >"$out/console.log" 2>&1 || rc=$?

tar -xf "$out/disk" -C "$out" 2>/dev/null || true
rm -f "$out/disk"

# guest/init writes 32 + code, which QEMU turns into an odd number from 65 to 127.
case $rc in
0) echo "the guest ended without reporting a result (a panic?)" >&2 ;;
124 | 137) echo "the guest did not end within $limit s" >&2 ;;
*) if [ $rc -ge 65 ] && [ $rc -le 127 ] && [ $((rc % 2)) = 1 ]; then exit $(((rc - 65) / 2)); fi
	echo "QEMU ended with $rc" >&2 ;;
esac
exit 90
