# Sourced by scenarios: the two NICs, each in a namespace of its own, on one wire.
# ethA (namespace A, 10.0.0.1, fd00::1) is the device under test, ethB (B, .2) the receiver.

# busybox would take its own applets of these names, which know no namespaces.
ip() { /bin/ip "$@"; }

# in_ns A|B COMMAND...: run it in that namespace.
in_ns() {
	local ns=$1
	shift
	/bin/ip netns exec "$ns" "$@"
}

fail() {
	echo "guest: FAIL $*"
	exit 1
}

# interface MAC: the name the kernel gave the NIC with that address.
interface() {
	local i
	for i in /sys/class/net/*; do
		[ "$(cat "$i/address")" != "$1" ] || basename "$i"
	done
}

# nic NS MAC LAST RX: into its namespace, features and rings set while it is down.
# One channel, so that every reply arrives where the sender's socket is bound; B's checksums are
# verified by its kernel and not by the device, so that a wrong one is refused and counted.
nic() {
	local ns=$1 dev=eth$1 name
	name=$(interface "$2")
	[ -n "$name" ] || fail "no NIC with address $2: is its module in the scenario's list?"
	ip netns add "$ns"
	ip link set "$name" netns "$ns" name "$dev"
	in_ns "$ns" ethtool -L "$dev" combined 1 2>/dev/null
	in_ns "$ns" ethtool -G "$dev" rx "$4" 2>/dev/null
	in_ns "$ns" ethtool -K "$dev" rx off gro off lro off tso off >/dev/null 2>&1
	ip -n "$ns" link set lo up
	ip -n "$ns" link set "$dev" up
	ip -n "$ns" addr add "10.0.0.$3/24" dev "$dev"
	ip -n "$ns" addr add "fd00::$3/64" dev "$dev" nodad
	echo "guest: $dev is $name, $(in_ns "$ns" ethtool -i "$dev" | head -n 1)"
}

# network: both NICs, and the first ping through.
network() {
	local i=0
	nic A 52:54:00:00:00:0a 1 1024
	nic B 52:54:00:00:00:0b 2 4096
	until in_ns A ping -c 1 -W 1 10.0.0.2 >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -lt 30 ] || fail "no ping from A to B"
	done
	echo "guest: A reaches B, up $(cut -d' ' -f1 /proc/uptime) s"
}

# disturb ARG...: what arrives at B passes through netem with these arguments.
disturb() {
	if [ ! -e /run/disturbed ]; then
		ip -n B link add ifb0 type ifb && ip -n B link set ifb0 up &&
			in_ns B tc qdisc add dev ethB ingress &&
			in_ns B tc filter add dev ethB parent ffff: matchall action mirred egress redirect dev ifb0 ||
			fail "no ifb in front of ethB"
		: >/run/disturbed
	fi
	in_ns B tc qdisc replace dev ifb0 root netem limit 20000 "$@" || fail "netem $*"
}

# listening PORT: waits until somebody in B listens there, 10 s at most.
listening() {
	local i=0
	until in_ns B netstat -ltn | grep -q ":$1 "; do
		i=$((i + 1))
		[ $i -lt 100 ] || return 1
		usleep 100000
	done
}
