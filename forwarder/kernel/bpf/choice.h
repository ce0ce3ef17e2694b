// Which engine takes in a frame that a port hears. It is asked once: by choose, the filter of the packet socket that user space reads the port by,
// as the kernel shows a frame to packet sockets first. from_port comes right after it, on the same processor and with no other frame between
// them, and goes by the answer that it left. So a frame is taken by one engine, also while entry changes.
#pragma once

// Choices. Nothing was chosen where user space does not read the port by choose; then it reads nothing there that an engine carries.
enum { UNDECIDED, BY_USER, BY_KERNEL };

// Entries: what of that this engine takes in.
enum { NONE, ALL, KNOWN };

// whole reports whether a frame is for one station that is known, and this engine carries the whole way to it.
static __noinline int whole(struct __sk_buff *skb)
{
	struct segment *s;
	struct place *to;
	struct peer *p;
	struct header h;
	__u64 target;

	if (load(skb, &h) || group(h.dst) || link_local(&h) || to_itself(&h))
		return 0;
	to = at(&macs, h.dst);
	if (!to)
		return 0;
	target = to->origin;
	if (to->segment) {
		s = at(&segments, to->segment);
		if (!s)
			return 0;
		target = s->gateway;
	}
	p = at(&peers, target);
	return p && p->flags & WHOLE;
}

// held reports whether a handover keeps in memory what the port hears, which user space does.
static __always_inline int held(void)
{
	struct cell *c = interface.segment ? at(&gate, 0) : NULL;

	return c && bpf_ktime_get_boot_ns() < *(volatile __u64 *)&c->hold;
}

static __always_inline int takes(struct __sk_buff *skb)
{
	__u64 *set = at(&entry, 0), what;

	if (!set)
		return 0;
	what = *(volatile __u64 *)set;
	return what == KNOWN ? !held() && whole(skb) : what == ALL;
}

// mine reports whether the frame is this engine's, and forgets the choice: it was for this frame.
static __always_inline int mine(struct __sk_buff *skb)
{
	__u64 *made = at(&choice, 0), by;

	if (!made)
		return 0;
	by = *made;
	*made = UNDECIDED;
	return by == UNDECIDED ? takes(skb) : by == BY_KERNEL;
}

// kept is what failover/gate lets through to the socket of a segment port: also while a handover keeps frames in memory.
static __always_inline int kept(void)
{
	return !interface.segment || gate_open() || held();
}
