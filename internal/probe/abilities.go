package probe

// ability is a row of the table: what doesn't depend on the interface.
type ability struct{ name, label, how, means string }

const (
	registered = "a region of 64 frames with it was registered and bound in copy mode (XDP_UMEM_REG, bind)"
	onSocket   = "set on a socket bound in copy mode, and read back"
	onlyClaim  = "not tried: no frame is sent on the interface"
)

// abilities are tried on the interface, in this order.
var abilities = []ability{
	{"native_attach", "native attach", "the steering program was attached in the driver by a bpf_link, and taken off again",
		"received packets reach AF_XDP before the kernel makes an skb of them; zero-copy takes it"},
	{"generic_attach", "generic attach", "the steering program was attached on skbs by a bpf_link, and taken off again",
		"works on every driver; only copy mode can send then"},
	{"link_reset", "link reset", "whether the carrier was gone after attaching and detaching, and for how long",
		"yes: to start and to end costs so much time, for the host's own traffic too"},
	{"copy_bind", "copy mode", "a socket was bound to queue 0 with XDP_COPY; XDP_OPTIONS says what became of it",
		"the kernel copies each packet once into an skb"},
	{"zero_copy_bind", "zero-copy", "a socket was bound to queue 0 with XDP_ZEROCOPY, with our program attached; XDP_OPTIONS says what became of it",
		"the NIC reads frames where they are"},
	{"need_wakeup", "need-wakeup", "a socket was bound with XDP_USE_NEED_WAKEUP, in zero-copy where that works",
		"the kernel says when the doorbell has to be rung"},
	{"sg_bind", "scatter-gather, copy", "a socket was bound with XDP_USE_SG and XDP_COPY",
		"packets of several descriptors: frames larger than a chunk, headers apart from payload"},
	{"sg_zero_copy_bind", "scatter-gather, zero-copy", "a socket was bound with XDP_USE_SG and XDP_ZEROCOPY",
		"the same in zero-copy, with as many descriptors as xdp-zc-max-segs says"},
	{"tx_metadata", "TX metadata", registered, "a descriptor can ask for a checksum or a timestamp"},
	{"tx_software_checksum", "TX_SW_CSUM", registered, "the kernel fills in checksums, whatever the NIC can; copy mode only"},
	{"tx_checksum_copy", "checksum, copy", onlyClaim + "; a peer that refuses wrong sums would have to answer",
		"claimed: the device may fill in checksums in copy mode; else the kernel does"},
	{"tx_checksum_zero_copy", "checksum, zero-copy", onlyClaim + "; a peer that refuses wrong sums would have to answer",
		"not claimed: the request is dropped without a word, and the packets are wrong"},
	{"tx_budget", "XDP_MAX_TX_SKB_BUDGET", "set to 64 on a socket bound in copy mode",
		"one system call sends more than 32 descriptors in copy mode"},
	{"prefer_busy_poll", "SO_PREFER_BUSY_POLL", onSocket, "the NIC's interrupts wait while we poll; sysfs napi_defer_hard_irqs and gro_flush_timeout belong to it"},
	{"busy_poll", "SO_BUSY_POLL", onSocket, "a system call of ours drives the NIC's queue for so long"},
	{"busy_poll_budget", "SO_BUSY_POLL_BUDGET", onSocket, "how many packets such a call may take"},
	{"huge_pages", "huge pages", "a region of one 2 MiB page was mapped, registered and bound in copy mode", "fewer TLB misses, in the NIC's IOMMU too"},
	{"default_memory", "memory of a default run", "a region of the size that xsend send uses was registered and bound in copy mode",
		"memory that the NIC reads stays locked, and RLIMIT_MEMLOCK bounds it without CAP_IPC_LOCK"},
}

// quirks are tried on the private pair, in this order.
var quirks = []ability{
	{"invalid_descriptor_completed", "an invalid descriptor comes back", "a descriptor at 1 GiB of a region of 256 KiB was submitted, after a good one",
		"yes: what the completion ring returns has to be checked before it is believed"},
	{"bad_metadata_wedges", "bad metadata wedges the socket", "a descriptor whose metadata has unknown flags was submitted, and the doorbell rung three times",
		"yes: nothing is sent any more until the socket is opened anew, and each ring completes a frame that is still there"},
	{"metadata_checksum", "metadata asks for a checksum", "a frame with XDP_TXMD_FLAGS_CHECKSUM was sent with the device's own checksum off, and summed where it arrived",
		"yes: checksum offload works in copy mode, in the kernel if not in the NIC"},
	{"software_checksum", "TX_SW_CSUM fills it in", "the same with XDP_UMEM_TX_SW_CSUM and the device's own checksum on, which on veth leaves the field as it is",
		"yes: the kernel sums, whatever the device claims"},
	{"tx_budget_default", "descriptors per doorbell", "256 descriptors were submitted and the doorbell rung once, with XDP_MAX_TX_SKB_BUDGET as it is",
		"in copy mode each system call sends so many"},
	{"tx_budget_raised", "and with XDP_MAX_TX_SKB_BUDGET", "the same with XDP_MAX_TX_SKB_BUDGET at 256",
		"no: more system calls for the same packets"},
	{"max_fragments", "descriptors per packet", "packets of more and more descriptors were sent in copy mode, until one didn't arrive",
		"how many parts a packet may have in copy mode"},
	{"lost_frame_completed", "a lost frame completes", "a frame larger than the MTU was sent",
		"yes: a completion says that the kernel is done with a frame, not that it was sent"},
	{"deferred_close", "a closed socket keeps its queue", "a socket was closed and another one bound to its queue at once, ten times",
		"yes: a bind that finds its queue in use has to be tried again for so long"},
}

func findingOf(a ability) Finding {
	return Finding{Name: a.name, Label: a.label, How: a.how, Means: a.means, Found: Untried}
}
