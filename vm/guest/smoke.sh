# modules: igb e1000 veth 8021q ifb sch_ingress sch_netem cls_matchall act_mirred
#
# Through ethC and ethA in copy mode, 200 kB each, with checksums left to whoever takes the packet. A kprobe tells who that
# is, and has a control:
#   nic     ethC, an e1000 that computes them
#   off     the same with tx-checksumming off: the kernel
#   igb     ethA, whose driver says that it does and leaves those of AF_XDP to the kernel
#   igboff  the same with tx-checksumming off
# Through ethA in zero-copy to a kernel TCP sink behind ethB, four times:
#   plain   10 MB, an undisturbed wire
#   vlan    2 MB with 802.1Q tags, to a sink on a VLAN device; the way and the neighbour are those of ethA.7
#   ack     2 MB, reordered on the way and each frame overwritten once it is handed back: must be safe
#   acked   the same, handed back at the ACK although a clone may still be queued: must not be
# /out/runs tells the verdict program on the host what to expect of which port.
. /net.sh
network
nic C 52:54:00:00:00:0c 3 1024
in_ns C ping -c 1 -W 5 10.0.0.2 >/dev/null || fail "no ping from C to B"

ip -n A link add link ethA name ethA.7 type vlan id 7 && ip -n B link add link ethB name ethB.7 type vlan id 7 ||
	fail "no VLAN devices"
for end in A/1 B/2; do
	ip -n "${end%/*}" addr add "10.7.0.${end#*/}/24" dev "eth${end%/*}.7"
	ip -n "${end%/*}" link set "eth${end%/*}.7" up
done

# Where transfers go, from which namespace by which interface's route, in which VLAN, and how.
to=10.0.0.2 from=A by=ethA vlan=0 how=

# transfer NAME PORT BYTES EXPECT EXIT FLAG...
transfer() {
	local name=$1 port=$2 bytes=$3 expect=$4 want=$5 rc
	shift 5
	head -c "$bytes" /dev/urandom >/tmp/file
	sha256sum </tmp/file | cut -d' ' -f1 >"/out/$name.sha256"
	echo "$name $port $vlan $expect" >>/out/runs
	in_ns B timeout 100 xsend sink --listen "$to:$port" --once --json >"/out/$name.sink.json" 2>"/out/$name.sink.log" &
	listening "$port" || fail "$name: xsend sink does not listen: $(tail -n 5 "/out/$name.sink.log")"
	# shellcheck disable=SC2086 # how is several flags
	in_ns "$from" timeout 100 xsend send -I "$by" $how --json "$@" \
		"$to:$port" /tmp/file >"/out/$name.send.json" 2>"/out/$name.send.log"
	rc=$?
	wait
	cat "/out/$name.send.log" "/out/$name.sink.log"
	echo "guest: $name: send exit $rc, up $(cut -d' ' -f1 /proc/uptime) s"
	[ $rc = "$want" ] || fail "$name: xsend send ended with $rc, not $want"
}

# The probe itself: it counts what it must, and is gone afterwards by the kernel's own list.
mount -t debugfs debug /sys/kernel/debug
sumprobe.test -test.v -test.run '^TestOpen$' >/out/sumprobe.log 2>&1 && grep -q 'flows told apart: true, removal seen: true' /out/sumprobe.log ||
	{ cat /out/sumprobe.log /sys/kernel/debug/kprobes/list; fail "TestOpen of hw/sumprobe"; }

# e1000 takes no native program, and an igb spares its link. Attaching the probe is part of connecting.
from=C by=ethC how="--attach generic --mode copy --checksum hw --connect-timeout 60s"
transfer nic 5005 200000 by-nic 0
transfer off 5006 200000 by-kernel 0 --set tx-checksum-ip-generic=off
from=A by=ethA
transfer igb 5007 200000 by-kernel 0
transfer igboff 5008 200000 by-kernel 0 --set tx-checksum-ip-generic=off
how="--attach native --mode zerocopy"
transfer plain 5001 10000000 intact 0 --release ack
to=10.7.0.2 by=ethA.7 vlan=7
transfer vlan 5004 2000000 intact 0 --vlan 7
to=10.0.0.2 by=ethA vlan=0
disturb delay 10ms 8ms
transfer ack 5002 2000000 intact-resent 0 --release ack --rewrite
transfer acked 5003 2000000 broken 3 --release acked --rewrite
