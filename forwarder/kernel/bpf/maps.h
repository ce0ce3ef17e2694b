// Maps and constants. docs/protocol/kernel.md has the byte diagrams; state.go has the same layouts in Go, and a test
// compares both by BTF.
#pragma once

#define MARK 0x4442474b // "DBGK": frames that this engine injects
#define SHORT_MASK 0xfff
#define PORTS 32
#define CHILDREN 31
#define HOPS 255 // outer TTL of a fresh frame
#define HOP 32   // what a relay takes off, so that seven relays are the most, whatever the underlay took besides

// Flags of a peer.
#define PRESENT 1
#define LOCAL 2
#define MAY_SEND 4
#define WHOLE 8 // this engine carries the whole way to it

#define MAPPED bpf_htonl(0xffff) // third word of an IPv4 address in IPv6's form

// Reasons and other counts. The order is that of countNames in counts.go.
enum {
	SHORT, BAD_SOURCE, LINK_LOCAL, ECHO, STALE_EPOCH, SPLIT_HORIZON, GATE_SHUT, NO_GATEWAY, TOO_BIG, PORT_REFUSED,
	MISDIRECTED, UNKNOWN_PEER, WRONG_PARENT, HOP_LIMIT, TUNNEL_REFUSED, NOT_RENEWED, STORM,
	CAPTURED, RECEIVED, RELAYED, INJECTED, SENT, LOST_EVENTS,
	COUNTS,
};

struct mac {
	__u8 b[6];
	__u16 zero;
};

struct address {
	__u32 w[4];
};

// place is where a MAC address is.
struct place {
	__u32 origin;  // short id of the attachment that it speaks through
	__u32 port;    // ifindex here; 0: elsewhere
	__u32 segment; // 0: a guest
	__u32 moves;
	__u64 seen; // CLOCK_MONOTONIC_COARSE ns
};

// peer is one attachment, by short id.
struct peer {
	struct address remote; // outer address of the next hop; IPv4 in its mapped form
	__u32 flags;
	__u32 segment; // what it is attached to; 0: guests
	__u32 via;     // short id of the next hop, a neighbour
	__u32 parent;  // short id of the neighbour that its floods come from
	__u32 mtu;     // largest frame that fits unfragmented
	__u32 zero;
	__u64 epoch;   // tenure under which it may send
};

struct segment {
	__u32 gateway; // short id of the active gateway's attachment; 0: none
	__u32 port;    // ifindex of the segment's port here; 0: none
};

struct children {
	__u16 n;
	__u16 child[CHILDREN];
};

struct port {
	__u32 ifindex;
	__u32 segment;
};

struct ports {
	__u32 n;
	struct port port[PORTS];
};

// cell is failover.Cell.
struct cell {
	__u64 until, epoch, fence, passed, refused, last, hold, reserved;
};

// traffic is what crossed one port.
struct traffic {
	__u64 rx_frames, rx_bytes, tx_frames, tx_bytes;
};

// storm is a token bucket, as in forwarder/storm.go: ns of CLOCK_MONOTONIC_COARSE.
struct storm {
	__u64 each;  // for one frame; 0: no limit
	__u64 burst; // how far ahead full may be
	__u64 full;  // when the bucket will be full again
};

struct learned {
	__u32 kind; // 1
	__u32 origin, port, segment;
	struct mac mac;
	__u64 at; // CLOCK_MONOTONIC_COARSE ns
};

#define PUNTED 1280

struct punted {
	__u32 kind; // 2
	__u32 port;
	__u32 mtu;
	__u32 length; // of the frame; no more than PUNTED octets follow
	__u32 tag;    // of the frame's outermost 802.1Q tag: protocol << 16 | TCI; 0: none
	__u8 frame[PUNTED];
	__u32 zero;
};

// constants of one copy.
struct constants {
	__u32 ifindex;
	__u32 self;    // short id of the attachment here
	__u32 segment; // a segment port's
	__u32 tunnel;  // ifindex of the VXLAN device
	__u32 gated;   // the gate has a say
	__u32 zero;
	__u64 settle;  // ns for which an address that spoke elsewhere is not believed
	struct mac mac; // the port's own
	struct address inner; // outer destination that alone is taken; zero: any
};

volatile const struct constants interface;

#define MAP(name, kind, k, v, n) \
	struct { \
		__uint(type, kind); \
		__type(key, k); \
		__type(value, v); \
		__uint(max_entries, n); \
	} name SEC(".maps")

MAP(macs, BPF_MAP_TYPE_LRU_HASH, struct mac, struct place, 16384);
MAP(peers, BPF_MAP_TYPE_ARRAY, __u32, struct peer, 4096);
MAP(neighbours, BPF_MAP_TYPE_HASH, struct address, __u32, 1024);
MAP(segments, BPF_MAP_TYPE_HASH, __u32, struct segment, 256);
MAP(tree, BPF_MAP_TYPE_ARRAY, __u32, struct children, 4096);
MAP(local, BPF_MAP_TYPE_ARRAY, __u32, struct ports, 1);
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, COUNTS);

MAP(life, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1);
MAP(entry, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1); // what this engine takes in of that which ports hear (choice.h); user space has the rest

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct cell);
	__uint(max_entries, 1);
} gate SEC(".maps");

// Each port's own, as its gate is.
MAP(traffic, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct traffic, 1);
MAP(storm, BPF_MAP_TYPE_ARRAY, __u32, struct storm, 1);
MAP(choice, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);

// Whatever lies on the stack is whole words of eight octets, and what a helper is to write into is zeroed before. Linux up to 6.12 refuses
// each smaller store into a word that holds a number it keeps track of, as if that were a pointer, to whoever has no CAP_PERFMON
// (check_stack_write_fixed_off in kernel/bpf/verifier.c). Numbers that live long are of 64 bits, too: the compiler puts registers of 32 aside
// in half a word.

// word is eight octets of two numbers of at most four.
static __always_inline __u64 word(__u64 low, __u64 high)
{
	return low | high << 32;
}

// at finds the value of a key of four octets, which are the first of the word, or of eight.
static __always_inline void *at(void *map, __u64 key)
{
	return bpf_map_lookup_elem(map, &key);
}

static __always_inline void count(__u64 what)
{
	__u64 *n = at(&counts, what);

	if (n)
		(*n)++;
}

static __always_inline int drop(__u64 why)
{
	count(why);
	return TC_ACT_SHOT;
}

// host refuses to carry a frame that the host's own stack may still want.
static __always_inline int host(__u64 why)
{
	count(why);
	return TC_ACT_UNSPEC;
}

// alive reports whether the daemon has renewed the engine in time. Guests have no lease, but nobody watches for
// loops among them when it is gone. now is CLOCK_MONOTONIC_COARSE, which is read once for each frame.
static __always_inline int alive(__u64 now)
{
	__u64 *until = at(&life, 0);

	return until && now < *until;
}

// gate_open is failover.Gate.Permit, and is kept in step with it.
static __always_inline int gate_open(void)
{
	struct cell *c = at(&gate, 0);
	__u64 now = bpf_ktime_get_boot_ns();

	if (!c)
		return 0;
	if (now >= *(volatile __u64 *)&c->until || *(volatile __u64 *)&c->epoch < *(volatile __u64 *)&c->fence) {
		__sync_fetch_and_add(&c->refused, 1);
		return 0;
	}
	__sync_fetch_and_add(&c->passed, 1);
	*(volatile __u64 *)&c->last = now;
	return 1;
}

// overtaken reports whether another gateway of the port's segment is known under a newer tenure, or under the same one: then this
// gate is about to be shut, or open against all rules. forwarder.Attached.mayWrite is the same.
static __always_inline int overtaken(void)
{
	struct segment *s;
	struct peer *p;
	struct cell *c;

	if (!interface.segment)
		return 0;
	s = at(&segments, interface.segment);
	if (!s || !s->gateway)
		return 0;
	p = at(&peers, s->gateway);
	c = at(&gate, 0);
	if (!p || !c || p->flags & LOCAL)
		return 0;
	return *(volatile __u64 *)&c->epoch <= p->epoch;
}
