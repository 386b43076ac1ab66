# modules: igb 8021q ifb sch_ingress sch_netem cls_matchall act_mirred
#
# Through ethA in zero-copy to a kernel TCP sink behind ethB, four times:
#   plain   10 MB, an undisturbed wire
#   vlan    2 MB with 802.1Q tags, to a sink on a VLAN device; the way and the neighbour are those of ethA.7
#   ack     2 MB, reordered on the way and each frame overwritten once it is handed back: must be safe
#   acked   the same, handed back at the ACK although a clone may still be queued: must not be
# /out/runs tells the verdict program on the host what to expect of which port.
. /net.sh
network

ip -n A link add link ethA name ethA.7 type vlan id 7 && ip -n B link add link ethB name ethB.7 type vlan id 7 ||
	fail "no VLAN devices"
for end in A/1 B/2; do
	ip -n "${end%/*}" addr add "10.7.0.${end#*/}/24" dev "eth${end%/*}.7"
	ip -n "${end%/*}" link set "eth${end%/*}.7" up
done

# Where transfers go, by which interface's route, and in which VLAN.
to=10.0.0.2 by=ethA vlan=0

# transfer NAME PORT BYTES EXPECT EXIT FLAG...
transfer() {
	local name=$1 port=$2 bytes=$3 expect=$4 want=$5 rc
	shift 5
	head -c "$bytes" /dev/urandom >/tmp/file
	sha256sum </tmp/file | cut -d' ' -f1 >"/out/$name.sha256"
	echo "$name $port $vlan $expect" >>/out/runs
	in_ns B timeout 100 xsend sink --listen "$to:$port" --once --json >"/out/$name.sink.json" 2>"/out/$name.sink.log" &
	listening "$port" || fail "$name: xsend sink does not listen: $(tail -n 5 "/out/$name.sink.log")"
	in_ns A timeout 100 xsend send -I "$by" --attach native --mode zerocopy --json "$@" \
		"$to:$port" /tmp/file >"/out/$name.send.json" 2>"/out/$name.send.log"
	rc=$?
	wait
	cat "/out/$name.send.log" "/out/$name.sink.log"
	echo "guest: $name: send exit $rc, up $(cut -d' ' -f1 /proc/uptime) s"
	[ $rc = "$want" ] || fail "$name: xsend send ended with $rc, not $want"
}

transfer plain 5001 10000000 intact 0 --release ack
to=10.7.0.2 by=ethA.7 vlan=7
transfer vlan 5004 2000000 intact 0 --vlan 7
to=10.0.0.2 by=ethA vlan=0
disturb delay 10ms 8ms
transfer ack 5002 2000000 intact-resent 0 --release ack --rewrite
transfer acked 5003 2000000 broken 3 --release acked --rewrite
