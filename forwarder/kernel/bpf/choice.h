// Which engine takes in a frame that a port hears. It is asked once: by choose, the filter of the packet socket that user space reads the port by,
// as the kernel shows a frame to packet sockets first. from_port comes right after it, on the same processor and with no other frame between
// them, and goes by the answer that it left. So a frame is taken by one engine, also while entry changes.
#pragma once

// Choices. Nothing was chosen where user space does not read the port by choose; then it reads nothing there that an engine carries.
enum { UNDECIDED, BY_USER, BY_KERNEL };

static __always_inline int takes(void)
{
	__u64 *on = at(&entry, 0);

	return on && *(volatile __u64 *)on;
}

// mine reports whether the frame is this engine's, and forgets the choice: it was for this frame.
static __always_inline int mine(void)
{
	__u64 *made = at(&choice, 0), by;

	if (!made)
		return 0;
	by = *made;
	*made = UNDECIDED;
	return by == UNDECIDED ? takes() : by == BY_KERNEL;
}

// kept is what failover/gate lets through to the socket of a segment port: also while a handover keeps frames in memory.
static __always_inline int kept(void)
{
	struct cell *c;

	if (!interface.segment || gate_open())
		return 1;
	c = at(&gate, 0);
	return c && bpf_ktime_get_boot_ns() < *(volatile __u64 *)&c->hold;
}
