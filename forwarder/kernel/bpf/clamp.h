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

// clamp lowers the MSS option (RFC 9293 §3.7.1) of a SYN to what fits a frame of mtu octets. Whoever has no option sends
// 536 octets or 1,220, which fit.
static __always_inline void clamp(struct __sk_buff *skb, const struct header *h, __u32 mtu)
{
	__u32 size = 0, tcp = syn(skb, h, &size), at, end, fits;
	__u8 option[4], offset;
	__u16 old, new;

	if (!tcp || bpf_skb_load_bytes(skb, tcp + 12, &offset, 1))
		return;
	fits = h->network + outer_tag(skb) + size + 20;
	if (mtu <= fits + 536)
		return;
	new = bpf_htons(mtu - fits);
	end = tcp + (offset >> 4) * 4;
	at = tcp + 20;
	for (int i = 0; i < OPTIONS && at + 4 <= end; i++) {
		if (bpf_skb_load_bytes(skb, at, option, sizeof(option)) || !option[0])
			return;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if (option[0] == 2 && option[1] == 4) {
			old = *(__u16 *)(option + 2);
			if (bpf_ntohs(old) <= bpf_ntohs(new) || bpf_skb_store_bytes(skb, at + 2, &new, 2, 0))
				return;
			if ((at - tcp) & 1) { // across two words of the sum
				old = __builtin_bswap16(old);
				new = __builtin_bswap16(new);
			}
			bpf_l4_csum_replace(skb, tcp + 16, old, new, 2);
			return;
		}
		if (option[1] < 2)
			return;
		at += option[1];
	}
}
