// What is read of a frame, and which frames are carried at all: the rules of forwarder/filter.go.
#pragma once

#define MIN_FRAME 14

struct header {
	struct mac dst, src;
	__u16 type;    // behind all tags, host order
	__u16 network; // where the network header begins
};

// load reads the addresses and the type behind up to two tags. The outermost tag is in the buffer's metadata, as the
// kernel takes it out of line on receipt; a tag still in line comes after it.
static __always_inline int load(struct __sk_buff *skb, struct header *h)
{
	__u8 b[MIN_FRAME];
	__u16 type;
	int at = 12;

	if (skb->len < MIN_FRAME || bpf_skb_load_bytes(skb, 0, b, MIN_FRAME))
		return -1;
	__builtin_memcpy(h->dst.b, b, 6);
	__builtin_memcpy(h->src.b, b + 6, 6);
	h->dst.zero = h->src.zero = 0;
	h->type = (__u16)b[12] << 8 | b[13];
	for (int i = 0; i < 2 && (h->type == 0x8100 || h->type == 0x88a8); i++) {
		at += 4;
		if (bpf_skb_load_bytes(skb, at, &type, 2))
			break;
		h->type = bpf_ntohs(type);
	}
	h->network = at + 2;
	return 0;
}

// outer_tag is how many octets of tag the frame has besides those in line.
static __always_inline __u32 outer_tag(struct __sk_buff *skb)
{
	return skb->vlan_present ? 4 : 0;
}

static __always_inline struct traffic *port_traffic(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&traffic, &zero);
}

// came and went count frames of the port: a super-frame is one, as in user space.
static __always_inline void came(struct __sk_buff *skb)
{
	struct traffic *t = port_traffic();

	if (!t)
		return;
	t->rx_frames++;
	t->rx_bytes += skb->len + outer_tag(skb);
}

static __always_inline void went(struct __sk_buff *skb)
{
	struct traffic *t = port_traffic();

	if (!t)
		return;
	t->tx_frames++;
	t->tx_bytes += skb->len + outer_tag(skb);
}

static __always_inline int same(const struct mac *a, const volatile struct mac *b)
{
	return *(__u64 *)a == *(volatile __u64 *)b;
}

// link_local reports whether a frame must stay on its wire.
static __always_inline int link_local(const struct header *h)
{
	const __u8 *d = h->dst.b;

	switch (h->type) {
	case 0x88b6: // ALONE
	case 0x88cc: // LLDP
	case 0x8809: // LACP, OAM
	case 0x8808: // pause
		return 1;
	}
	if (d[0] != 1)
		return 0;
	if (d[1] == 0x80 && d[2] == 0xc2 && !d[3] && !d[4] && d[5] < 0x10)
		return 1;
	return !d[1] && d[2] == 0x0c && d[3] == 0xcc && d[4] == 0xcc && (d[5] | 1) == 0xcd;
}

// admit answers why a frame is not carried, or -1.
static __always_inline int admit(const struct header *h)
{
	if (h->src.b[0] & 1 || !*(__u64 *)&h->src)
		return BAD_SOURCE;
	if (link_local(h))
		return LINK_LOCAL;
	return -1;
}
