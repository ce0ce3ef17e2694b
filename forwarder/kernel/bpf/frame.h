// What is read of a frame, and which frames are carried at all: the rules of forwarder/filter.go.
#pragma once

#define MIN_FRAME 14
#define MAC 0xffffffffffffull // the octets of a word that are an address: struct mac, the first octet lowest

struct header {
	__u64 dst, src;
	__u64 type;    // behind all tags, host order
	__u64 network; // where the network header begins
};

// load reads the addresses and the type behind up to two tags. The outermost tag is in the buffer's metadata, as the
// kernel takes it out of line on receipt; a tag still in line comes after it.
static __always_inline int load(struct __sk_buff *skb, struct header *h)
{
	__u64 w[2] = {}, type = 0, where = 12;

	if (skb->len < MIN_FRAME || bpf_skb_load_bytes(skb, 0, w, MIN_FRAME))
		return -1;
	h->dst = w[0] & MAC;
	h->src = (w[0] >> 48 | w[1] << 16) & MAC;
	h->type = bpf_ntohs((__u16)(w[1] >> 32));
	for (int i = 0; i < 2 && (h->type == 0x8100 || h->type == 0x88a8); i++) {
		where += 4;
		if (bpf_skb_load_bytes(skb, where, &type, 2))
			break;
		h->type = bpf_ntohs((__u16)type);
	}
	h->network = where + 2;
	return 0;
}

// outer_tag is how many octets of tag the frame has besides those in line.
static __always_inline __u32 outer_tag(struct __sk_buff *skb)
{
	return skb->vlan_present ? 4 : 0;
}

// came and went count frames of the port: a super-frame is one, as in user space.
static __always_inline void came(struct __sk_buff *skb)
{
	struct traffic *t = at(&traffic, 0);

	if (!t)
		return;
	t->rx_frames++;
	t->rx_bytes += skb->len + outer_tag(skb);
}

static __always_inline void went(struct __sk_buff *skb)
{
	struct traffic *t = at(&traffic, 0);

	if (!t)
		return;
	t->tx_frames++;
	t->tx_bytes += skb->len + outer_tag(skb);
}

// to_itself reports whether a frame is for the host that the port belongs to.
static __always_inline int to_itself(const struct header *h)
{
	return h->dst == *(const volatile __u64 *)&interface.mac;
}

// group reports whether a frame is for more than one station.
static __always_inline int group(__u64 mac)
{
	return mac & 1;
}

// link_local reports whether a frame must stay on its wire.
static __always_inline int link_local(const struct header *h)
{
	switch (h->type) {
	case 0x88b6: // ALONE
	case 0x88cc: // LLDP
	case 0x8809: // LACP, OAM
	case 0x8808: // pause
		return 1;
	}
	if ((h->dst & ~(0xfull << 40)) == 0xc28001) // 01-80-c2-00-00-0x
		return 1;
	return (h->dst | 1ull << 40) == 0xcdcccc0c0001; // 01-00-0c-cc-cc-cc, -cd
}

// admit answers why a frame is not carried, or -1.
static __always_inline int admit(const struct header *h)
{
	if (group(h->src) || !h->src)
		return BAD_SOURCE;
	if (link_local(h))
		return LINK_LOCAL;
	return -1;
}
