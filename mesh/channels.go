package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// Channel is one use of the mesh by another part of the program. Its methods are called from several
// goroutines, never with a lock of the router held, and must not block. Slices are valid until they return.
type Channel interface {
	// Receive takes a message of Broadcast or Send. The same broadcast arrives once, unless it is very late.
	Receive(from drawbridge.PeerID, msg []byte)
	// State is all that a peer should know that has missed messages. It is exchanged with every new
	// neighbour, and with a random peer every few seconds.
	State() []byte
	Merge(from drawbridge.PeerID, state []byte)
}

// MaxBroadcast bounds a message to everybody; what is larger belongs into State.
const MaxBroadcast = 8 << 10

// routedHeader is what stands before the payload of a routed message, the kind included.
const routedHeader = 1 + 4 + 4 + 1

// ErrTooLarge says that a message is too long for its way.
var ErrTooLarge = errors.New("the message is too large")

// Register opens a channel. Names are for good: they are part of what peers of different versions say.
func (r *Router) Register(name string, c Channel) {
	mustName("channel", name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.channels[name] = c
}

// mustName stops a program that calls something what no peer could ask for.
func mustName(what, name string) {
	if name == "" || len(name) > wire.MaxName {
		panic(fmt.Sprintf("mesh: %s name %q: want 1 to %d bytes", what, name, wire.MaxName))
	}
}

func (r *Router) channel(name string) Channel {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.channels[name]
}

// Send sends msg to one peer, over several links if need be. It arrives at most once, and in order while the
// way stays the same; a link that breaks loses what is on it.
func (r *Router) Send(to drawbridge.PeerID, channel string, msg []byte) error {
	m := wire.Routed{From: r.id, To: to, Hops: maxHops, Payload: wire.AppendChannel(nil, channel, msg)}
	if len(m.Payload)+routedHeader > wire.MaxMessage {
		return fmt.Errorf("channel %s: %d bytes: %w", channel, len(msg), ErrTooLarge)
	}
	if to == r.id {
		r.receiveChannel(&m)
		return nil
	}
	return r.post(wire.KindChannel, &m)
}

func (r *Router) receiveChannel(m *wire.Routed) {
	name, msg, err := wire.ParseChannel(m.Payload)
	if err != nil {
		r.drop("channel: malformed")
		return
	}
	if c := r.channel(name); c != nil {
		c.Receive(m.From, msg)
		return
	}
	r.drop("channel: unknown")
}

// Broadcast sends msg to every peer but this one. It arrives within a few gossip intervals; a peer that is
// away at the moment learns its content from State.
func (r *Router) Broadcast(channel string, msg []byte) error {
	if len(msg) > MaxBroadcast {
		return fmt.Errorf("channel %s: broadcast of %d bytes, at most %d: %w", channel, len(msg), MaxBroadcast, ErrTooLarge)
	}
	r.mu.Lock()
	r.serial++
	b := broadcast{mark{r.id, r.uid, r.serial}, wire.AppendChannel(nil, channel, msg)}
	r.mu.Unlock()
	r.members.spread(b)
	return nil
}

// mark tells one broadcast from all others.
type mark struct {
	from   drawbridge.PeerID
	uid    drawbridge.PeerUID
	serial uint64
}

// broadcast is a message to everybody: u32 source, u64 run, u64 serial, then as in a channel message.
type broadcast struct {
	mark    mark
	payload []byte
}

const markSize = 20

// Message, Finished, Invalidates and UniqueBroadcast make it one of memberlist's.
func (b broadcast) Message() []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(b.mark.from))
	out = binary.BigEndian.AppendUint64(out, uint64(b.mark.uid))
	out = binary.BigEndian.AppendUint64(out, b.mark.serial)
	return append(out, b.payload...)
}

func (b broadcast) Finished()                               {}
func (b broadcast) Invalidates(_ memberlist.Broadcast) bool { return false }
func (b broadcast) UniqueBroadcast()                        {}

func parseBroadcast(b []byte) (broadcast, bool) {
	if len(b) < markSize {
		return broadcast{}, false
	}
	return broadcast{mark{
		drawbridge.PeerID(binary.BigEndian.Uint32(b)),
		drawbridge.PeerUID(binary.BigEndian.Uint64(b[4:])),
		binary.BigEndian.Uint64(b[12:]),
	}, slices.Clone(b[markSize:])}, true
}

// spread queues a broadcast, and remembers it so that its echo is known.
func (m *members) spread(b broadcast) {
	m.recent.add(b.mark)
	m.broadcasts.QueueBroadcast(b)
}

// NotifyMsg takes a broadcast, and passes it on when it is new: memberlist itself does not.
func (d delegate) NotifyMsg(b []byte) {
	got, ok := parseBroadcast(b)
	switch {
	case !ok:
		d.r.drop("broadcast: malformed")
	case d.recent.add(got.mark) && got.mark.from != d.r.id:
		d.broadcasts.QueueBroadcast(got)
		d.r.receiveChannel(&wire.Routed{From: got.mark.from, To: d.r.id, Payload: got.payload})
	}
}

// GetBroadcasts is called by memberlist when it has room in a packet.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.broadcasts.GetBroadcasts(overhead, limit)
}

// LocalState is what is exchanged with one peer: u32 source, then for each channel its name, u32 length, state.
func (d delegate) LocalState(bool) []byte {
	d.r.mu.Lock()
	channels := maps.Clone(d.r.channels)
	d.r.mu.Unlock()
	out := binary.BigEndian.AppendUint32(nil, uint32(d.r.id))
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		state := channels[name].State()
		out = append(append(out, byte(len(name))), name...)
		out = binary.BigEndian.AppendUint32(out, uint32(len(state)))
		out = append(out, state...)
	}
	return out
}

// MergeRemoteState takes what LocalState of another peer wrote.
func (d delegate) MergeRemoteState(b []byte, _ bool) {
	from, states, err := parseStates(b)
	if err != nil {
		d.r.drop("state: malformed")
		return
	}
	for _, s := range states {
		if c := d.r.channel(s.channel); c != nil {
			c.Merge(from, s.state)
		}
	}
}

type channelState struct {
	channel string
	state   []byte
}

var errState = errors.New("not the state of channels")

func parseStates(b []byte) (from drawbridge.PeerID, states []channelState, err error) {
	if len(b) < 4 {
		return 0, nil, errState
	}
	from, b = drawbridge.PeerID(binary.BigEndian.Uint32(b)), b[4:]
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+4 {
			return 0, nil, errState
		}
		name, size := string(b[1:1+n]), binary.BigEndian.Uint32(b[1+n:])
		b = b[1+n+4:]
		if uint64(size) > uint64(len(b)) {
			return 0, nil, errState
		}
		states = append(states, channelState{name, b[:size]})
		b = b[size:]
	}
	return from, states, nil
}

// recent remembers the last broadcasts. The zero value is ready.
type recent struct {
	mu    sync.Mutex
	known map[mark]bool
	order []mark // a ring
	at    int
}

// maxRecent is 13 minutes of ten broadcasts a second; memberlist repeats one for about a second.
const maxRecent = 8192

// add reports whether m was not known.
func (r *recent) add(m mark) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[m] {
		return false
	}
	if r.known == nil {
		r.known, r.order = map[mark]bool{}, make([]mark, maxRecent)
	}
	delete(r.known, r.order[r.at])
	r.order[r.at] = m
	r.known[m] = true
	r.at = (r.at + 1) % maxRecent
	return true
}
