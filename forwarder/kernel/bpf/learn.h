// Learning: the programs keep the table current themselves and tell user space what is new.
#pragma once

#define SEEN_EVERY 62500000ull // ns; an address that speaks often is not written at every frame (forwarder/table.go)

// sighting is where an address speaks, and when: a place before it is words.
struct sighting {
	__u64 origin, port, segment, seen;
};

static __always_inline void tell(__u64 mac, const struct sighting *s)
{
	struct learned *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count(LOST_EVENTS);
		return;
	}
	e->kind = 1;
	e->origin = s->origin;
	e->port = s->port;
	e->segment = s->segment;
	*(__u64 *)&e->mac = mac;
	e->at = s->seen;
	bpf_ringbuf_submit(e, 0);
}

// at_same_place: behind a segment it is the segment that counts, whichever gateway captured the frame.
static __always_inline int at_same_place(const struct place *a, const struct sighting *b)
{
	if (a->segment || b->segment)
		return a->segment == b->segment;
	return a->port == b->port && a->origin == b->origin;
}

// note puts an address where it was seen, and tells.
static __always_inline void note(__u64 mac, const struct sighting *s, __u64 moves)
{
	__u64 place[] = {word(s->origin, s->port), word(s->segment, moves), s->seen};

	bpf_map_update_elem(&macs, &mac, place, BPF_ANY);
	tell(mac, s);
}

// learn notes that an address speaks here, at here->seen, and answers nonzero if it spoke elsewhere a moment ago: the frame is an echo.
static __always_inline int learn(__u64 mac, const struct sighting *here)
{
	struct place *old = at(&macs, mac);
	__u64 moves = 0;

	if (old && at_same_place(old, here)) {
		if (old->origin != here->origin || old->port != here->port) {
			old->origin = here->origin;
			old->port = here->port;
		}
		if (here->seen - old->seen > SEEN_EVERY)
			old->seen = here->seen;
		return 0;
	}
	if (old) {
		if (here->seen - old->seen < interface.settle)
			return 1;
		moves = (__u32)(old->moves + 1);
	}
	note(mac, here, moves);
	return 0;
}
