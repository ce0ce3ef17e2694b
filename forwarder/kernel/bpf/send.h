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

// flood_children copies a frame to the neighbours that are next in its origin's tree. Nonzero: it has come too far.
static __always_inline int flood_children(struct __sk_buff *skb, __u32 origin, __u32 vni, __u32 hops)
{
	struct children *c = bpf_map_lookup_elem(&tree, &origin);
	__u32 next;
	struct peer *p;

	if (!c || !c->n)
		return 0;
	if (hops <= HOP)
		return 1;
	skb->mark = 0;
	for (int i = 0; i < CHILDREN; i++) {
		if (i >= c->n)
			break;
		next = c->child[i];
		p = bpf_map_lookup_elem(&peers, &next);
		if (!p || !(p->flags & PRESENT))
			continue;
		if (label(skb, p, vni, hops - HOP) || bpf_clone_redirect(skb, interface.tunnel, 0)) {
			count(TUNNEL_REFUSED);
			continue;
		}
		count(SENT);
	}
	return 0;
}

// flood_ports copies a frame to the ports here but the one that it came from, and never back to its own segment.
static __always_inline int flood_ports(struct __sk_buff *skb, __u32 except, __u32 segment)
{
	__u32 zero = 0;
	struct ports *l = bpf_map_lookup_elem(&local, &zero);
	long sent;

	if (!l)
		return TC_ACT_SHOT;
	skb->mark = MARK;
	for (int i = 0; i < PORTS; i++) {
		if (i >= l->n)
			break;
		if (l->port[i].ifindex == except)
			continue;
		if (segment && l->port[i].segment == segment) {
			count(SPLIT_HORIZON);
			continue;
		}
		sent = bpf_clone_redirect(skb, l->port[i].ifindex, 0);
		if (sent <= 0) // else the gate has dropped and counted it
			count(sent ? PORT_REFUSED : INJECTED);
	}
	return TC_ACT_SHOT;
}

// flood sends a port's frame along this peer's tree and to the other ports, and leaves the original to the host.
static __always_inline int flood(struct __sk_buff *skb)
{
	flood_children(skb, interface.self, interface.self, HOPS + HOP);
	flood_ports(skb, interface.ifindex, interface.segment);
	skb->mark = 0;
	return TC_ACT_UNSPEC;
}

