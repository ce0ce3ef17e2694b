package pipe

import (
	"net/netip"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// Kind says what a message is. Orders go to the agent, reports come from it.
type Kind uint8

// Orders, and which fields they have.
const (
	Hello     Kind = 1 + iota // Peer: who we are; descriptor: the socket of requests, and of all that has no other
	Answers                   // descriptor: the socket of answers, if they have one of their own
	Canary                    // descriptor: ends when the daemon does
	Shared                    // descriptor: the board; the last thing before a run begins
	Parties                   // Parties: all others that take part
	Configure                 // Config
	Gate                      // Segment, Slot; descriptor: the gate's memory
	Candidate                 // Segment, Rank, Wanted
	Yield                     // Segment, Peer: the heir or 0, Number
	Veto                      // Segment: the daemon has just shut the gate, and said so on the board
	Look                      // Segment: the board allows it to be open
	Heard                     // Segment, Epoch
	Floor                     // Set, Floor, Number
	Tell                      // Number: a status is wanted
)

// Order is what the daemon wants of its agent.
type Order struct {
	Kind    Kind
	Number  uint64 // of the question; the answer has it too
	Segment drawbridge.SegmentID
	Epoch   drawbridge.Epoch
	Peer    drawbridge.PeerID
	Floor   uint32
	Rank    uint16
	Slot    uint16
	Wanted  bool
	Set     []drawbridge.PeerID
	Parties []Party
	Config  lease.Config
}

// Party is another peer that takes part in the leases.
type Party struct {
	Peer drawbridge.PeerID
	Addr netip.AddrPort
	Key  []byte // of the pair, 16 to 64 octets
}

// Append writes o.
func (o *Order) Append(b []byte) []byte {
	w := writer{append(b, byte(o.Kind))}
	w.u64(o.Number)
	w.u32(uint32(o.Segment))
	w.u64(uint64(o.Epoch))
	w.u32(uint32(o.Peer))
	w.u32(o.Floor)
	w.u16(o.Rank)
	w.u16(o.Slot)
	w.flag(o.Wanted)
	switch o.Kind {
	case Parties:
		w.u16(uint16(len(o.Parties)))
		for _, p := range o.Parties {
			w.party(p)
		}
	case Configure:
		w.config(&o.Config)
	case Floor:
		w.peers(o.Set)
	}
	return w.b
}

// Parse reads an order into o, whose slices it does not reuse.
func (o *Order) Parse(b []byte) error {
	r := reader{b: b}
	*o = Order{
		Kind: Kind(r.u8()), Number: r.u64(), Segment: drawbridge.SegmentID(r.u32()), Epoch: drawbridge.Epoch(r.u64()),
		Peer: drawbridge.PeerID(r.u32()), Floor: r.u32(), Rank: r.u16(), Slot: r.u16(), Wanted: r.flag(),
	}
	switch o.Kind {
	case Parties:
		for n := r.count(); n > 0; n-- {
			o.Parties = append(o.Parties, r.party())
		}
	case Configure:
		r.config(&o.Config)
	case Floor:
		o.Set = r.peers()
	}
	r.must(o.Kind >= Hello && o.Kind <= Tell && o.Slot < Slots)
	return r.end("order")
}

func (w *writer) party(p Party) {
	addr, _ := p.Addr.MarshalBinary() // cannot fail (its source)
	w.u32(uint32(p.Peer))
	w.octets(addr)
	w.octets(p.Key)
}

func (r *reader) party() (p Party) {
	p.Peer = drawbridge.PeerID(r.u32())
	r.must(p.Addr.UnmarshalBinary(r.octets()) == nil && p.Addr.Addr().Zone() == "")
	p.Key = append(p.Key, r.octets()...)
	r.must(p.Peer != 0 && len(p.Key) >= 16 && len(p.Key) <= 64)
	return p
}

func (w *writer) config(c *lease.Config) {
	w.u32(c.Generation)
	w.u32(c.Floor)
	for _, d := range [...]int64{int64(c.Renew), int64(c.Term), int64(c.Grace), int64(c.Step), int64(c.Drift), int64(c.Longest)} {
		w.u64(uint64(d))
	}
	w.u16(uint16(len(c.Sets)))
	for _, set := range c.Sets {
		w.peers(set)
	}
}

func (r *reader) config(c *lease.Config) {
	c.Generation, c.Floor = r.u32(), r.u32()
	c.Renew, c.Term, c.Grace, c.Step = r.duration(), r.duration(), r.duration(), r.duration()
	c.Drift, c.Longest = int(r.u64()), r.duration()
	for n := r.count(); n > 0; n-- {
		c.Sets = append(c.Sets, r.peers())
	}
}
