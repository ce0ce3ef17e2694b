// Ways out: a port here, a neighbour, all of the tree.
#pragma once

static __always_inline int inject(struct __sk_buff *skb, __u32 ifindex)
{
	skb->mark = MARK;
	count(INJECTED);
	return bpf_redirect(ifindex, 0);
}

// label puts the outer header's fields on the frame. No UDP checksum over IPv4: the kernel would have to sum up each
// segment of a super-frame in software, which cost a tenth of the speed.
static __always_inline int label(struct __sk_buff *skb, const struct peer *p, __u32 vni, __u32 hops)
{
	struct bpf_tunnel_key key = {.tunnel_id = vni, .tunnel_ttl = hops};

	if (p->remote.w[0] || p->remote.w[1] || p->remote.w[2] != MAPPED) {
		__builtin_memcpy(key.remote_ipv6, &p->remote, 16);
		return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
	}
	key.remote_ipv4 = bpf_ntohl(p->remote.w[3]);
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
}

// tunnel sends a frame to p's next hop.
static __always_inline int tunnel(struct __sk_buff *skb, const struct peer *p, __u32 vni, __u32 hops)
{
	skb->mark = 0;
	if (label(skb, p, vni, hops))
		return drop(TUNNEL_REFUSED);
	count(SENT);
	return bpf_redirect(interface.tunnel, 0);
}

// The loops over copies are callbacks (bpf_loop, Linux 5.17): the verifier then looks at one round and not at all of them,
// which makes loading fifty times faster. What they are given holds pointers and lies on the stack; the functions around them are
// not inlined, or the compiler puts other variables there afterwards, which the verifier allows with CAP_PERFMON only.

struct branching {
	struct __sk_buff *skb;
	struct children *to;
	__u32 vni, hops;
};

static long copy_to_child(__u32 i, struct branching *b)
{
	struct peer *p;
	__u32 next;

	if (i >= CHILDREN)
		return 1;
	next = b->to->child[i];
	p = bpf_map_lookup_elem(&peers, &next);
	if (!p || !(p->flags & PRESENT))
		return 0;
	if (label(b->skb, p, b->vni, b->hops) || bpf_clone_redirect(b->skb, interface.tunnel, 0))
		count(TUNNEL_REFUSED);
	else
		count(SENT);
	return 0;
}

// flood_children copies a frame to the neighbours that are next in its origin's tree. Nonzero: it has come too far.
static __noinline int flood_children(struct __sk_buff *skb, __u32 origin, __u32 vni, __u32 hops)
{
	struct branching b = {.skb = skb, .to = bpf_map_lookup_elem(&tree, &origin), .vni = vni, .hops = hops - HOP};

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
	__u32 except, segment;
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
static __noinline int flood_ports(struct __sk_buff *skb, __u32 except, __u32 segment)
{
	__u32 zero = 0;
	struct spreading s = {.skb = skb, .to = bpf_map_lookup_elem(&local, &zero), .except = except, .segment = segment};

	if (!s.to)
		return TC_ACT_SHOT;
	skb->mark = MARK;
	bpf_loop(s.to->n, copy_to_port, &s, 0);
	return TC_ACT_SHOT;
}

// may_flood takes a token. Two processors may take the same one: the limit is exact to so many frames at once.
static __always_inline int may_flood(__u64 now)
{
	__u32 zero = 0;
	struct storm *s = bpf_map_lookup_elem(&storm, &zero);
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

