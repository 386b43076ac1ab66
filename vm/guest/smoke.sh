# modules: igb ifb sch_ingress sch_netem cls_matchall act_mirred
#
# 10 MB through ethA in zero-copy to a kernel TCP sink behind ethB, three times:
#   plain   an undisturbed wire
#   ack     reordered on the way and each frame overwritten once it is handed back: must be safe
#   acked   the same, handed back at the ACK although a clone may still be queued: must not be
# /out/runs tells the verdict program on the host what to expect of which port.
. /net.sh
network
head -c 10000000 /dev/urandom >/tmp/file
sha256sum </tmp/file | cut -d' ' -f1 >/out/sha256

# transfer NAME PORT EXPECT EXIT FLAG...
transfer() {
	local name=$1 port=$2 expect=$3 want=$4 rc
	shift 4
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

transfer plain 5001 intact 0 --release ack
disturb delay 10ms 8ms
transfer ack 5002 intact-resent 0 --release ack --rewrite
transfer acked 5003 broken 3 --release acked --rewrite
