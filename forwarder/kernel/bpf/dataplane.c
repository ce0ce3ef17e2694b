// SPDX-License-Identifier: (MIT OR GPL-2.0)
//
// Engine K. Four programs: one where frames come in from a port, and one beside it that says whose they are, one where they come in from
// the tunnel, one where they leave through a segment port. docs/protocol/kernel.md has the layouts and the reasons; helpers of
// Linux 6.1 only. One copy is loaded for each interface, with its constants folded in and its own gate.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#include "frame.h"

#include "learn.h"

#include "send.h"

#include "toobig.h"

#include "clamp.h"

#include "choice.h"

// deliver hands a frame from the tunnel to the ports here. It answers the verdict on the original.
static __always_inline int deliver(struct __sk_buff *skb, struct peer *origin)
{
	struct header h;
	struct place *to;

	if (load(skb, &h))
		return drop(SHORT);
	to = group(h.dst) ? NULL : at(&macs, h.dst);
	if (!to || !to->port) {
		struct segment *s = to && to->segment ? at(&segments, to->segment) : NULL;

		if (!s || !s->port)
			return flood_ports(skb, 0, origin->segment);
		if (to->segment == origin->segment)
			return drop(SPLIT_HORIZON);
		return inject(skb, s->port);
	}
	if (to->segment && to->segment == origin->segment)
		return drop(SPLIT_HORIZON);
	return inject(skb, to->port);
}

// relay passes a frame on that is addressed to another peer, with what is left of its hops.
static __always_inline int relay(struct __sk_buff *skb, __u64 vni, __u64 from, __u64 hops)
{
	struct peer *p = at(&peers, vni >> 12);

	if (!p || !(p->flags & PRESENT) || p->via == from)
		return drop(MISDIRECTED);
	if (hops <= HOP)
		return drop(HOP_LIMIT);
	count(RELAYED);
	return tunnel(skb, p, vni, hops - HOP);
}

// arrived decides about a frame of the origin in vni that the neighbour from handed over.
static __always_inline int arrived(struct __sk_buff *skb, __u64 vni, __u64 from, __u64 hops)
{
	__u64 src = vni & SHORT_MASK, dst = vni >> 12;
	struct peer *origin = at(&peers, src), *target;
	struct sighting here = {.seen = bpf_ktime_get_coarse_ns()};
	struct header h;
	int why;

	barrier_var(from); // or it is put aside as half a word
	if (!alive(here.seen))
		return drop(NOT_RENEWED);
	if (!origin || !(origin->flags & PRESENT))
		return drop(UNKNOWN_PEER);
	if (origin->flags & LOCAL)
		return drop(ECHO);
	if (!(origin->flags & MAY_SEND))
		return drop(STALE_EPOCH);
	if (load(skb, &h))
		return drop(SHORT);
	why = admit(&h);
	if (why >= 0)
		return drop(why);
	if (dst) {
		target = at(&peers, dst);
		if (!target || !(target->flags & LOCAL))
			return relay(skb, vni, from, hops);
	} else if (origin->parent != from) {
		return drop(WRONG_PARENT);
	}
	here.origin = src;
	here.segment = origin->segment;
	if (learn(h.src, &here))
		return drop(ECHO);
	if (!dst && flood_children(skb, src, vni, hops))
		count(HOP_LIMIT);
	count(RECEIVED);
	return deliver(skb, origin);
}

// protected reports whether a frame was sent to the address that only a protecting device has. The device vouches for the outer source; a
// packet to any other address of this host came by another interface, and its source may be anybody's.
static __always_inline int protected(const struct bpf_tunnel_key *key)
{
	return interface.inner.w[0] == key->local_ipv6[0] && interface.inner.w[1] == key->local_ipv6[1] &&
	       interface.inner.w[2] == key->local_ipv6[2] && interface.inner.w[3] == key->local_ipv6[3];
}

// sender is the outer source of a frame, a struct address, as the device noted it. Zero: known.
static __always_inline int sender(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u64 *a)
{
	if (!bpf_skb_get_tunnel_key(skb, key, sizeof(*key), 0)) {
		if (interface.inner.w[0])
			return -1;
		a[1] = word(MAPPED, bpf_htonl(key->remote_ipv4));
		return 0;
	}
	if (bpf_skb_get_tunnel_key(skb, key, sizeof(*key), BPF_F_TUNINFO_IPV6))
		return -1;
	if (interface.inner.w[0] && !protected(key))
		return -1;
	a[0] = word(key->remote_ipv6[0], key->remote_ipv6[1]);
	a[1] = word(key->remote_ipv6[2], key->remote_ipv6[3]);
	return 0;
}

// from_tunnel takes what comes out of the VXLAN device, from neighbours only.
SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	union {
		__u64 words[6];
		struct bpf_tunnel_key key;
	} outer = {};
	__u64 a[2] = {};
	__u32 *from;

	if (sender(skb, &outer.key, a))
		return drop(UNKNOWN_PEER);
	from = bpf_map_lookup_elem(&neighbours, a);
	if (!from)
		return drop(UNKNOWN_PEER);
	return arrived(skb, outer.key.tunnel_id, *from, outer.key.tunnel_ttl);
}

// from_context is arrived with numbers that a test gives, as a test run of a program has no tunnel header. It is
// attached nowhere.
SEC("tc")
int from_context(struct __sk_buff *skb)
{
	return arrived(skb, skb->cb[0], skb->cb[1], skb->cb[2]);
}

// flood_clamped is flood within the port's limit; a SYN to an address that is not known is told what fits everybody.
static __always_inline int flood_clamped(struct __sk_buff *skb, const struct header *h, __u64 now)
{
	struct peer *p = at(&peers, interface.self);

	if (!may_flood(now))
		return host(STORM);
	if (p)
		clamp(skb, h, p->mtu);
	return flood(skb);
}

// choose says which engine takes in a frame, and how much of it user space gets: what neighbours say to each other in any case.
SEC("socket")
int choose(struct __sk_buff *skb)
{
	__u64 *made = at(&choice, 0);
	struct header h;

	if (!made)
		return 0;
	if (!takes(skb)) {
		*made = BY_USER;
		return kept() ? -1 : 0;
	}
	*made = BY_KERNEL;
	return !load(skb, &h) && link_local(&h) ? -1 : 0;
}

// from_port takes what a segment or guest port hears, unless user space does.
SEC("tc")
int from_port(struct __sk_buff *skb)
{
	struct sighting here = {
		.origin = interface.self, .port = interface.ifindex, .segment = interface.segment, .seen = bpf_ktime_get_coarse_ns(),
	};
	struct place *to;
	struct segment *s;
	struct peer *p;
	struct header h;
	__u64 target;
	int why;

	if (!mine(skb))
		return TC_ACT_UNSPEC;
	if (load(skb, &h))
		return drop(SHORT);
	why = admit(&h);
	if (why >= 0)
		return host(why);
	if (!alive(here.seen))
		return host(NOT_RENEWED);
	if (interface.gated && !gate_open())
		return host(GATE_SHUT);
	if (overtaken())
		return host(STALE_EPOCH);
	if (learn(h.src, &here))
		return drop(ECHO);
	if (to_itself(&h))
		return TC_ACT_UNSPEC;
	count(CAPTURED);
	came(skb);
	to = group(h.dst) ? NULL : at(&macs, h.dst);
	if (!to)
		return flood_clamped(skb, &h, here.seen);
	if ((interface.segment && to->segment == interface.segment) || to->port == interface.ifindex)
		return drop(SPLIT_HORIZON);
	target = to->origin;
	if (to->segment) {
		s = at(&segments, to->segment);
		if (!s || !s->gateway)
			return drop(NO_GATEWAY);
		target = s->gateway;
		p = at(&peers, target);
		if (s->port && p && p->flags & LOCAL)
			return inject(skb, s->port);
	} else if (to->port) {
		return inject(skb, to->port);
	}
	p = at(&peers, target);
	if (!p || !(p->flags & PRESENT))
		return flood_clamped(skb, &h, here.seen);
	if (too_big(skb, &h, p->mtu))
		return punt(skb, p->mtu);
	clamp(skb, &h, p->mtu);
	return tunnel(skb, p, interface.self | target << 12, HOPS);
}

// to_port is the last word before the wire: what this engine injects leaves only through an open gate.
SEC("tc")
int to_port(struct __sk_buff *skb)
{
	if (skb->mark != MARK)
		return TC_ACT_UNSPEC; // the host's own, and ALONE
	if (!gate_open())
		return drop(GATE_SHUT);
	if (overtaken())
		return drop(STALE_EPOCH);
	went(skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
