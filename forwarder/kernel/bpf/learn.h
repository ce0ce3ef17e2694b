// Learning: the programs keep the table current themselves and tell user space what is new.
#pragma once

#define SEEN_EVERY 62500000ull // ns; an address that speaks often is not written at every frame (forwarder/table.go)

static __always_inline void tell(const struct mac *m, const struct place *p)
{
	struct learned *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count(LOST_EVENTS);
		return;
	}
	e->kind = 1;
	e->origin = p->origin;
	e->port = p->port;
	e->segment = p->segment;
	e->mac = *m;
	e->at = p->seen;
	bpf_ringbuf_submit(e, 0);
}

// at_same_place: behind a segment it is the segment that counts, whichever gateway captured the frame.
static __always_inline int at_same_place(const struct place *a, const struct place *b)
{
	if (a->segment || b->segment)
		return a->segment == b->segment;
	return a->port == b->port && a->origin == b->origin;
}

// learn notes that m speaks here, at here->seen, and answers nonzero if it spoke elsewhere a moment ago: the frame is an echo.
static __always_inline int learn(const struct mac *m, struct place *here)
{
	struct place *old = bpf_map_lookup_elem(&macs, m);

	if (!old) {
		bpf_map_update_elem(&macs, m, here, BPF_ANY);
		tell(m, here);
		return 0;
	}
	if (at_same_place(old, here)) {
		if (old->origin != here->origin || old->port != here->port) {
			old->origin = here->origin;
			old->port = here->port;
		}
		if (here->seen - old->seen > SEEN_EVERY)
			old->seen = here->seen;
		return 0;
	}
	if (here->seen - old->seen < interface.settle)
		return 1;
	here->moves = old->moves + 1;
	bpf_map_update_elem(&macs, m, here, BPF_ANY);
	tell(m, here);
	return 0;
}
