// Package sumprobe counts, by a kprobe, how often the kernel computes a checksum in software for the packets of one flow.
//
// # What it owns
//
// The probe on skb_checksum_help, and what shows that it has power: packets of its own that certainly pass there.
//
// Every packet whose checksum was left open, and whose device does not do it, passes skb_checksum_help: validate_xmit_skb
// calls it by way of skb_csum_hwoffload_help for what the features of the device, as ndo_features_check cuts them
// for this packet, do not cover, and drivers call it for what they find they cannot do (net/core/dev.c). AF_XDP in copy mode
// sends by __dev_direct_xmit, and so by validate_xmit_skb. What is computed for XDP_UMEM_TX_SW_CSUM goes there as well
// (net/xdp/xsk.c). In zero-copy mode there is no skb, and nothing to count.
//
// # Whose packet it is
//
// Its last four bytes before the transport header and the first four of that, read from the skb at csum_start: the end of the destination's
// address, and both ports. They stay the same where a VLAN, a bond or a tunnel hands the packet on to another device, and that device's
// checksum is then found too; the number of an interface would miss it, and is not unique among network namespaces. Where
// the kernel describes no types (BTF) or the architecture is not known here, calls are counted without telling them apart.
//
// # What shows that it has power
//
// A compiler may inline the function into its callers, and a kernel may switch kprobes off at run time: nothing
// counted means nothing unless something else is. Control sends packets over a veth without transmit checksum, in a network namespace
// without a name, from a packet socket that asks for a checksum (PACKET_VNET_HDR) and passes the queueing discipline by (PACKET_QDISC_BYPASS):
// by the same __dev_direct_xmit, so that the same call in the kernel counts them. Beside them go packets that ask for nothing,
// which must not be counted.
//
// # What it refuses
//
// To guess: a kernel without kprobes is an error of Open that says so.
//
// # Goroutines and network namespaces
//
// None is started that outlives a call. The probe sees the whole machine, in whatever namespace it is opened. A Probe is for one
// goroutine at a time.
package sumprobe
