# modules: igb ifb sch_ingress sch_netem cls_matchall act_mirred
#
# Through ethA in zero-copy to a kernel TCP sink behind ethB, three times:
#   plain   10 MB, an undisturbed wire
#   ack     2 MB, reordered on the way and each frame overwritten once it is handed back: must be safe
#   acked   the same, handed back at the ACK although a clone may still be queued: must not be
# /out/runs tells the verdict program on the host what to expect of which port.
. /net.sh
network

# transfer NAME PORT BYTES EXPECT EXIT FLAG...
transfer() {
	local name=$1 port=$2 bytes=$3 expect=$4 want=$5 rc
	shift 5
	head -c "$bytes" /dev/urandom >/tmp/file
	sha256sum </tmp/file | cut -d' ' -f1 >"/out/$name.sha256"
	echo "$name $port $expect" >>/out/runs
	in_ns B timeout 100 xsend sink --listen "10.0.0.2:$port" --once --json >"/out/$name.sink.json" 2>"/out/$name.sink.log" &
	listening "$port" || fail "$name: xsend sink does not listen: $(tail -n 5 "/out/$name.sink.log")"
	in_ns A timeout 100 xsend send -I ethA --attach native --mode zerocopy --json "$@" \
		"10.0.0.2:$port" /tmp/file >"/out/$name.send.json" 2>"/out/$name.send.log"
	rc=$?
	wait
	cat "/out/$name.send.log" "/out/$name.sink.log"
	echo "guest: $name: send exit $rc, up $(cut -d' ' -f1 /proc/uptime) s"
	[ $rc = "$want" ] || fail "$name: xsend send ended with $rc, not $want"
}

transfer plain 5001 10000000 intact 0 --release ack
disturb delay 10ms 8ms
transfer ack 5002 2000000 intact-resent 0 --release ack --rewrite
transfer acked 5003 2000000 broken 3 --release acked --rewrite
