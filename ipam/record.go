package ipam

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
)

// First octets of the keys of records.
const (
	keySelf     = 'h' // life, next life
	keyDecided  = 'd' // decisions, as JSON
	keyLease    = 'l' // end of the space lease, time of writing
	keyWaited   = 'w' // + holder: nanoseconds waited since its removal
	keySeeded   = 's' // + shape: last seeding that was applied
	keyRegister = 'r' // + shape, block: register, held
	keyEntry    = 'e' // + shape, offset: entry
	keyRun      = 'u' // + first stamp: last stamp
	keyOrphan   = 'o' // + address: orphan
)

func (p *Peer) log(put bool, key, value []byte) {
	p.stamp++
	p.batch = record{put, key, value}.append(p.batch)
}

func (p *Peer) logSelf() {
	b := binary.BigEndian.AppendUint32(nil, p.me.Life)
	p.log(true, []byte{keySelf}, binary.BigEndian.AppendUint32(b, p.next))
	p.drawn = p.stamp
}

func (p *Peer) logLease() {
	p.written = p.lease
	b := binary.BigEndian.AppendUint64(nil, uint64(p.lease))
	p.log(true, []byte{keyLease}, binary.BigEndian.AppendUint64(b, uint64(p.now)))
}

func (p *Peer) logSeeded(pl *pool) {
	p.log(true, pl.ring.Shape.append([]byte{keySeeded}), binary.BigEndian.AppendUint32(nil, pl.seeded))
}

func (p *Peer) logRegister(pl *pool, block int) {
	p.key = pl.ring.Shape.append(append(p.key[:0], keyRegister))
	p.key = binary.BigEndian.AppendUint16(p.key, uint16(block))
	held := bit(pl.space.held[block], 1)
	p.log(true, p.key, append(pl.ring.regs[block].append(nil), held))
}

// logEntry writes the entry at an offset, or with nil that there is none.
func (p *Peer) logEntry(pl *pool, offset uint64, e *Entry) {
	p.key = pl.ring.Shape.append(append(p.key[:0], keyEntry))
	p.key = binary.BigEndian.AppendUint64(p.key, offset)
	if e == nil {
		p.log(false, p.key, nil)
		return
	}
	at := len(p.key)
	p.key = e.append(p.key)
	p.log(true, p.key[:at], p.key[at:])
}

func (e *Entry) append(b []byte) []byte {
	b = append(b, byte(e.Use))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Until))
	b = e.Peer.append(b)
	b = binary.BigEndian.AppendUint64(b, e.Serial)
	b = binary.BigEndian.AppendUint64(b, e.Ask)
	return append(b, e.Owner...)
}

func (p *Peer) logOrphan(a netip.Addr, o orphan, put bool) {
	key := a.As16()
	value := binary.BigEndian.AppendUint64(nil, uint64(o.until))
	p.log(put, append([]byte{keyOrphan}, key[:]...), append(value, o.owner...))
}

func (p *Peer) logWaited(h Holder) {
	p.log(true, h.append([]byte{keyWaited}), binary.BigEndian.AppendUint64(nil, uint64(p.waitedFor(h))))
}

// Snapshot is everything that a state file needs to have, for Store.Compact, when the last Batch that was taken
// is on disk. It includes what would have been the next one. Then Persisted is called with its stamp.
func (p *Peer) Snapshot() Batch {
	p.batch = nil
	p.logSelf()
	p.logDecided()
	p.logLease()
	for _, h := range p.removedHolders() {
		p.logWaited(h)
	}
	for _, r := range p.runs {
		p.logRun(r, true)
	}
	for _, pl := range p.pools {
		p.logPool(pl)
	}
	for a, o := range p.orphans {
		p.logOrphan(a, o, true)
	}
	out := Batch{p.stamp, p.batch}
	p.batch = nil
	return out
}

func (p *Peer) logPool(pl *pool) {
	p.logSeeded(pl)
	for i, reg := range pl.ring.regs {
		if reg != (Register{}) {
			p.logRegister(pl, i)
		}
	}
	for e := range pl.space.entries.all() {
		p.logEntry(pl, e.Offset, e)
	}
}

func (p *Peer) logDecided() {
	b, err := json.Marshal(&p.decided)
	if err != nil {
		panic(fmt.Sprintf("ipam: decisions have no JSON: %v", err)) // plain values only
	}
	p.log(true, []byte{keyDecided}, b)
}

func (p *Peer) removedHolders() (out []Holder) {
	for h := range p.removedAt {
		out = append(out, h)
	}
	slices.SortFunc(out, Holder.compare)
	return out
}

// restore reads all records, the last one of each key winning.
func (p *Peer) restore(frames []Batch) error {
	last := map[string][]byte{}
	for _, f := range frames {
		records, err := parseRecords(f.Records)
		if err != nil {
			return err
		}
		for _, r := range records {
			if delete(last, string(r.key)); r.put {
				last[string(r.key)] = r.value
			}
		}
		p.stamp, p.durable = f.Stamp, f.Stamp
	}
	if b, ok := last[string(keyDecided)]; ok {
		if err := json.Unmarshal(b, &p.decided); err != nil {
			return fmt.Errorf("decisions: %w: %w", err, ErrState)
		}
		if err := p.decided.Check(); err != nil {
			return fmt.Errorf("%w: %w", err, ErrState)
		}
	}
	p.present = p.decided.living(p.config.Self)
	for i := range p.decided.Grounds {
		p.pools = append(p.pools, newPool(p.decided.Grounds[i]))
	}
	for i := range p.decided.Members {
		if m := &p.decided.Members[i]; m.Removed != 0 {
			p.removedAt[m.Holder] = p.now
		}
	}
	for key, value := range last {
		if err := p.restoreRecord(key[0], &reader{b: []byte(key[1:])}, &reader{b: value}); err != nil {
			return err
		}
	}
	p.sortRuns()
	for _, pl := range p.pools {
		pl.stale = true
		pl.debtors = true
	}
	return nil
}

func (p *Peer) restoreRecord(kind byte, key, value *reader) error {
	switch kind {
	case keySelf:
		p.me, p.next = Holder{p.config.Self, value.u32()}, value.u32()
	case keyLease:
		p.restoreLease(Instant(value.u64()), Instant(value.u64()))
	case keyRun:
		p.runs = append(p.runs, run{key.u64(), value.u64()})
	case keyWaited:
		p.waited[key.holder()] = int64(value.u64())
	case keyOrphan:
		a := netip.AddrFrom16([16]byte(key.take(16))).Unmap()
		p.orphans[a] = orphan{until: Instant(value.u64()), owner: value.text(len(value.b))}
	case keySeeded, keyRegister, keyEntry:
		return p.restorePooled(kind, key, value)
	}
	if key.short || value.short {
		return fmt.Errorf("record %q is too short: %w", kind, ErrState)
	}
	return nil
}

// restoreLease believes the wall clock only if it did not go back since it was written, and not for longer
// than one lease.
func (p *Peer) restoreLease(until, written Instant) {
	if written <= p.now {
		p.lease = min(until, p.now+Instant(p.decided.Lease))
		p.written = p.lease
	}
}

func (p *Peer) restorePooled(kind byte, key, value *reader) error {
	m := Message{Kind: Digest}
	if err := m.parseShape(key); err != nil {
		return fmt.Errorf("%w: %w", err, ErrState)
	}
	pl := p.pool(m.Subnet.Prefix)
	if pl == nil {
		return fmt.Errorf("record of subnet %v, which no decision names: %w", m.Subnet.Prefix, ErrState)
	}
	switch kind {
	case keySeeded:
		pl.seeded = value.u32()
	case keyRegister:
		block := int(key.u16())
		if block >= len(pl.ring.regs) {
			return fmt.Errorf("block %d of subnet %v: %w", block, m.Subnet.Prefix, ErrState)
		}
		pl.ring.regs[block] = Register{Generation(value.u64()), value.holder(), value.holder()}
		if value.u8() == 1 {
			pl.space.hold(block)
		}
	case keyEntry:
		e := Entry{Offset: key.u64(), Use: Use(value.u8()), Until: Instant(value.u64()), Peer: value.holder(), Serial: value.u64(), Ask: value.u64()}
		e.Owner = value.text(len(value.b))
		if e.Offset > pl.ring.last() || e.Use < Mine || e.Use > Returning {
			return fmt.Errorf("entry of offset %d in subnet %v: %w", e.Offset, m.Subnet.Prefix, ErrState)
		}
		pl.put(e)
	}
	if key.short || value.short {
		return fmt.Errorf("record %q is too short: %w", kind, ErrState)
	}
	return nil
}
