// Ways out: a port here, a neighbour, all of the tree.
#pragma once

static __always_inline int inject(struct __sk_buff *skb, __u64 ifindex)
{
	skb->mark = MARK;
	count(INJECTED);
	return bpf_redirect(ifindex, 0);
}

// label puts the outer header's fields on the frame. No UDP checksum over IPv4: the kernel would have to sum up each
// segment of a super-frame in software, which cost a tenth of the speed. The words are bpf_tunnel_key up to its tunnel_label, a size that
// the kernel takes: number and remote address, whose words follow, then one octet of TOS and one of TTL.
static __always_inline int label(struct __sk_buff *skb, const struct peer *p, __u64 vni, __u64 hops)
{
	const __u32 *to = p->remote.w;
	__u64 last = (hops & 0xff) << 8, flags = BPF_F_TUNINFO_IPV6;
	__u64 key[] = {word(vni, to[0]), word(to[1], to[2]), word(to[3], last)};

	if (!to[0] && !to[1] && to[2] == MAPPED) {
		key[0] = word(vni, bpf_ntohl(to[3]));
		key[1] = 0;
		key[2] = word(0, last);
		flags = BPF_F_ZERO_CSUM_TX;
	}
	return bpf_skb_set_tunnel_key(skb, (struct bpf_tunnel_key *)key, sizeof(key), flags);
}

// tunnel sends a frame to p's next hop.
static __always_inline int tunnel(struct __sk_buff *skb, const struct peer *p, __u64 vni, __u64 hops)
{
	skb->mark = 0;
	if (label(skb, p, vni, hops))
		return drop(TUNNEL_REFUSED);
	count(SENT);
	return bpf_redirect(interface.tunnel, 0);
}

// The loops over copies are callbacks (bpf_loop, Linux 5.17): the verifier then looks at one round and not at all of them,
// which makes loading fifty times faster. What they are given holds pointers and lies on the stack; the functions around them are
// not inlined, or the compiler puts other variables there afterwards.

struct branching {
	struct __sk_buff *skb;
	struct children *to;
	__u64 vni, hops;
};

static long copy_to_child(__u32 i, struct branching *b)
{
	struct peer *p;

	if (i >= CHILDREN)
		return 1;
	p = at(&peers, b->to->child[i]);
	if (!p || !(p->flags & PRESENT))
		return 0;
	if (label(b->skb, p, b->vni, b->hops) || bpf_clone_redirect(b->skb, interface.tunnel, 0))
		count(TUNNEL_REFUSED);
	else
		count(SENT);
	return 0;
}

// flood_children copies a frame to the neighbours that are next in its origin's tree. Nonzero: it has come too far.
static __noinline int flood_children(struct __sk_buff *skb, __u64 origin, __u64 vni, __u64 hops)
{
	struct branching b = {.skb = skb, .to = at(&tree, origin), .vni = vni, .hops = hops - HOP};

	if (!b.to || !b.to->n)
		return 0;
	if (hops <= HOP)
		return 1;
	skb->mark = 0;
	bpf_loop(b.to->n, copy_to_child, &b, 0);
	return 0;
}

struct spreading {
	struct __sk_buff *skb;
	struct ports *to;
	__u64 except, segment;
};

static long copy_to_port(__u32 i, struct spreading *s)
{
	struct port *p;
	long sent;

	if (i >= PORTS)
		return 1;
	p = &s->to->port[i];
	if (p->ifindex == s->except)
		return 0;
	if (s->segment && p->segment == s->segment) {
		count(SPLIT_HORIZON);
		return 0;
	}
	sent = bpf_clone_redirect(s->skb, p->ifindex, 0);
	if (sent <= 0) // else the gate has dropped and counted it
		count(sent ? PORT_REFUSED : INJECTED);
	return 0;
}

// flood_ports copies a frame to the ports here but the one that it came from, and never back to its own segment.
static __noinline int flood_ports(struct __sk_buff *skb, __u64 except, __u64 segment)
{
	struct spreading s = {.skb = skb, .to = at(&local, 0), .except = except, .segment = segment};

	if (!s.to)
		return TC_ACT_SHOT;
	skb->mark = MARK;
	bpf_loop(s.to->n, copy_to_port, &s, 0);
	return TC_ACT_SHOT;
}

// may_flood takes a token. Two processors may take the same one: the limit is exact to so many frames at once.
static __always_inline int may_flood(__u64 now)
{
	struct storm *s = at(&storm, 0);
	__u64 full;

	if (!s || !s->each)
		return 1;
	full = *(volatile __u64 *)&s->full;
	if (full < now)
		full = now;
	full += s->each;
	if (full - now > s->burst)
		return 0;
	*(volatile __u64 *)&s->full = full;
	return 1;
}

// flood sends a port's frame along this peer's tree and to the other ports, and leaves the original to the host.
static __always_inline int flood(struct __sk_buff *skb)
{
	flood_children(skb, interface.self, interface.self, HOPS + HOP);
	flood_ports(skb, interface.ifindex, interface.segment);
	skb->mark = 0;
	return TC_ACT_UNSPEC;
}

