// Frames that fit no tunnel packet. The answer is made by user space, which has the code for it and the limit of its rate.
#pragma once

// too_big reports whether a frame needs an answer rather than a fragmented outer packet: IPv4 that forbids
// fragmentation, or IPv6, and not TCP, whose segments may be fragmented underneath. Whether RFC 1122 §3.2.2 and RFC 4443 §2.4
// allow one is for user space to say.
static __always_inline int too_big(struct __sk_buff *skb, const struct header *h, __u64 mtu)
{
	__u64 w[2] = {};
	const __u8 *ip = (__u8 *)w;

	if (skb->len + outer_tag(skb) <= mtu || skb->gso_size || bpf_skb_load_bytes(skb, h->network, w, 10))
		return 0;
	if (h->type == 0x0800)
		return ip[6] & 0x40 && ip[9] != 6;
	return h->type == 0x86dd && ip[6] != 6;
}

// punt gives the beginning of a frame to user space, and drops the frame: with the ring full the sender asks again.
static __always_inline int punt(struct __sk_buff *skb, __u64 mtu)
{
	struct punted *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	__u64 n = skb->len < PUNTED ? skb->len : PUNTED;

	if (!e) {
		count(LOST_EVENTS);
		return drop(TOO_BIG);
	}
	e->kind = 2;
	e->port = interface.ifindex;
	e->mtu = mtu;
	e->length = skb->len;
	e->tag = skb->vlan_present ? bpf_ntohs(skb->vlan_proto) << 16 | skb->vlan_tci : 0;
	e->zero = 0;
	barrier_var(n); // the verifier of 6.1 wants both limits on the register that the call gets
	if (n < MIN_FRAME || n > PUNTED || bpf_skb_load_bytes(skb, 0, e->frame, n)) {
		bpf_ringbuf_discard(e, 0);
		return drop(SHORT);
	}
	bpf_ringbuf_submit(e, 0);
	return drop(TOO_BIG);
}
