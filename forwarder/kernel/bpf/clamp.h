// TCP that is told a smaller segment size, so that its segments cross the tunnel in one piece.
#pragma once

#define SYN_AT_MOST 150 // octets: addresses, two tags, IPv6 or the longest IPv4 header, the longest TCP header
#define OPTIONS 20      // of TCP that are looked at; there is room for 40 of one octet, and nobody sends so many

// syn is where a TCP header with SYN begins, or 0. size is that of the IP header that segments have in front.
static __always_inline __u32 syn(struct __sk_buff *skb, const struct header *h, __u32 *size)
{
	__u8 ip[10], flags;
	__u32 at;

	if (skb->len > SYN_AT_MOST || bpf_skb_load_bytes(skb, h->network, ip, sizeof(ip)))
		return 0;
	if (h->type == 0x0800 && ip[9] == 6 && !((ip[6] & 0x1f) | ip[7])) {
		at = h->network + (ip[0] & 15) * 4;
		*size = 20;
	} else if (h->type == 0x86dd && ip[6] == 6) {
		at = h->network + 40;
		*size = 40;
	} else {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, at + 13, &flags, 1) || !(flags & 2))
		return 0;
	return at;
}

struct options {
	struct __sk_buff *skb;
	__u32 tcp, at, end;
	__u16 size; // that fits
};

static long clamp_option(__u32 i, struct options *o)
{
	__u8 option[4];
	__u16 old, new = bpf_htons(o->size);

	if (o->at + 4 > o->end || bpf_skb_load_bytes(o->skb, o->at, option, sizeof(option)) || !option[0])
		return 1;
	if (option[0] == 1) {
		o->at++;
		return 0;
	}
	if (option[0] != 2 || option[1] != 4) {
		o->at += option[1];
		return option[1] < 2;
	}
	old = *(__u16 *)(option + 2);
	if (bpf_ntohs(old) <= o->size || bpf_skb_store_bytes(o->skb, o->at + 2, &new, 2, 0))
		return 1;
	if ((o->at - o->tcp) & 1) { // across two words of the sum
		old = __builtin_bswap16(old);
		new = __builtin_bswap16(new);
	}
	bpf_l4_csum_replace(o->skb, o->tcp + 16, old, new, 2);
	return 1;
}

// clamp_segment lowers the MSS option of the TCP header at tcp. It has a stack of its own, see send.h.
static __noinline void clamp_segment(struct __sk_buff *skb, __u32 tcp, __u32 size)
{
	struct options o = {.skb = skb, .tcp = tcp, .at = tcp + 20, .size = size};
	__u8 offset;

	if (bpf_skb_load_bytes(skb, tcp + 12, &offset, 1))
		return;
	o.end = tcp + (offset >> 4) * 4;
	bpf_loop(OPTIONS, clamp_option, &o, 0);
}

// clamp lowers the MSS option (RFC 9293 §3.7.1) of a SYN to what fits a frame of mtu octets. Whoever has no option sends
// 536 octets or 1,220, which fit.
static __always_inline void clamp(struct __sk_buff *skb, const struct header *h, __u32 mtu)
{
	__u32 size = 0, tcp = syn(skb, h, &size), used = h->network + outer_tag(skb) + size + 20;

	if (tcp && mtu > used + 536)
		clamp_segment(skb, tcp, mtu - used);
}
