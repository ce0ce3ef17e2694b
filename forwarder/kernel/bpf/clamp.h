// TCP that is told a smaller segment size, so that its segments cross the tunnel in one piece.
#pragma once

#define SYN_AT_MOST 150 // octets: addresses, two tags, IPv6 or the longest IPv4 header, the longest TCP header
#define OPTIONS 20      // of TCP that are looked at; there is room for 40 of one octet, and nobody sends so many

// syn is where a TCP header with SYN begins, or 0. size is that of the IP header that segments have in front.
static __always_inline __u64 syn(struct __sk_buff *skb, const struct header *h, __u64 *size)
{
	__u64 w[2] = {}, flags = 0, tcp;
	const __u8 *ip = (__u8 *)w;

	if (skb->len > SYN_AT_MOST || bpf_skb_load_bytes(skb, h->network, w, 10))
		return 0;
	if (h->type == 0x0800 && ip[9] == 6 && !((ip[6] & 0x1f) | ip[7])) {
		tcp = h->network + (ip[0] & 15) * 4;
		*size = 20;
	} else if (h->type == 0x86dd && ip[6] == 6) {
		tcp = h->network + 40;
		*size = 40;
	} else {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, tcp + 13, &flags, 1) || !(flags & 2))
		return 0;
	return tcp;
}

struct options {
	struct __sk_buff *skb;
	__u64 tcp, end;
	__u64 size;       // that fits
	__u32 unused, at; // the upper half of a word is not kept track of: the verifier would follow each way through the options
};

static long clamp_option(__u32 i, struct options *o)
{
	__u64 option = 0, kind, length, old, new = bpf_htons((__u16)o->size);

	if (o->at + 4 > o->end || bpf_skb_load_bytes(o->skb, o->at, &option, 4))
		return 1;
	kind = option & 0xff;
	length = option >> 8 & 0xff;
	if (!kind)
		return 1;
	if (kind == 1) {
		o->at++;
		return 0;
	}
	if (kind != 2 || length != 4) {
		o->at += length;
		return length < 2;
	}
	old = option >> 16;
	if (bpf_ntohs((__u16)old) <= o->size || bpf_skb_store_bytes(o->skb, o->at + 2, &new, 2, 0))
		return 1;
	if ((o->at - o->tcp) & 1) { // across two words of the sum
		old = __builtin_bswap16((__u16)old);
		new = __builtin_bswap16((__u16)new);
	}
	bpf_l4_csum_replace(o->skb, o->tcp + 16, old, new, 2);
	return 1;
}

// clamp_segment lowers the MSS option of the TCP header at tcp. It has a stack of its own, see send.h.
static __noinline void clamp_segment(struct __sk_buff *skb, __u64 tcp, __u64 size)
{
	struct options o;
	__u64 offset = 0;

	if (bpf_skb_load_bytes(skb, tcp + 12, &offset, 1))
		return;
	o.skb = skb;
	o.tcp = tcp;
	o.at = tcp + 20;
	o.end = tcp + (offset >> 4) * 4;
	o.size = size;
	bpf_loop(OPTIONS, clamp_option, &o, 0);
}

// clamp lowers the MSS option (RFC 9293 §3.7.1) of a SYN to what fits a frame of mtu octets. Whoever has no option sends
// 536 octets or 1,220, which fit.
static __always_inline void clamp(struct __sk_buff *skb, const struct header *h, __u64 mtu)
{
	__u64 size = 0, tcp = syn(skb, h, &size), used = h->network + outer_tag(skb) + size + 20;

	if (tcp && mtu > used + 536)
		clamp_segment(skb, tcp, mtu - used);
}
