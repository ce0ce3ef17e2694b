package ipam

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Plan is what an import brings about.
type Plan struct {
	Claims []Claim
	Same   int // rows whose owner has the address already, for at least as long
	Left   int // rows that are no allocations, or over
}

// Claim is a row that is to be given out.
type Claim struct {
	Row
	For    time.Duration // 0: until it is released
	At     drawbridge.PeerID
	Longer bool // the owner has it there already, for a shorter time
}

// elsewhere are rows of other peers, to be found.
type elsewhere struct {
	rows   []Row
	addrs  map[netip.Addr]int
	owners map[string]int
}

// Plan turns rows into claims, or refuses all of them: an address on two lines, an owner on two lines of one subnet, an
// address outside every subnet, reserved, in use by another, or in the space of a peer that cannot be asked. others are the
// rows of all other peers that can be reached, their Peer being who said so. Every error is a Problem, of as many as
// there are lines.
func (p *Peer) Plan(now Instant, rows, others []Row, reachable func(drawbridge.PeerID) bool) (out Plan, errs []Problem) {
	p.advance(now)
	if err := p.Unable(); err != nil {
		return out, []Problem{{Err: err}}
	}
	around, seen := indexed(p, others), elsewhere{rows, map[netip.Addr]int{}, map[string]int{}}
	for i := range rows {
		r := &rows[i]
		if !r.allocation() || !r.Until.IsZero() && r.Until.UnixNano() <= int64(p.now) {
			out.Left++
			continue
		}
		c, same, err := p.claim(r, i, &seen, &around, reachable)
		switch {
		case err != nil:
			errs = append(errs, Problem{r.Line, err})
		case same:
			out.Same++
		default:
			out.Claims = append(out.Claims, c)
		}
	}
	if len(errs) > 0 {
		return Plan{}, errs
	}
	return out, nil
}

func indexed(p *Peer, rows []Row) elsewhere {
	e := elsewhere{rows, map[netip.Addr]int{}, map[string]int{}}
	for i := range rows {
		r := &rows[i]
		if pl := p.poolOf(r.Addr); pl != nil && (r.allocation() || r.Use == Foreign.String()) {
			e.addrs[r.Addr] = i
			if r.allocation() {
				e.owners[pl.key(r.Owner)] = i
			}
		}
	}
	return e
}

// key names an owner in one subnet.
func (pl *pool) key(owner string) string { return pl.ground.Prefix.String() + " " + owner }

// claim is what becomes of one row; same says that there is nothing to do.
func (p *Peer) claim(r *Row, i int, seen, around *elsewhere, reachable func(drawbridge.PeerID) bool) (c Claim, same bool, err error) {
	c = Claim{Row: *r}
	if !r.Until.IsZero() {
		c.For = time.Duration(r.Until.UnixNano() - int64(p.now))
	}
	pl, err := p.admissible(&Request{Owner: r.Owner, Addr: r.Addr})
	if err != nil {
		return c, false, err
	}
	if err = seen.note(pl, r, i); err != nil {
		return c, false, err
	}
	if same, at, err := around.has(pl, r, p.decided.peerNamed); err != nil || same || at != 0 {
		c.At, c.Longer = at, true
		return c, same, err
	}
	e, err := pl.claimable(r)
	switch {
	case err != nil:
	case e != nil && (!e.allocated() || e.lasts(r.Until)):
		same = true // or lent, and its borrower's business
	case e != nil:
		c.At, c.Longer = p.me.Peer, true
	default:
		c.At, err = p.giver(pl, r.Addr, reachable)
	}
	return c, same, err
}

// note refuses what another line of the file says already.
func (e *elsewhere) note(pl *pool, r *Row, i int) error {
	if first, twice := e.addrs[r.Addr]; twice {
		return fmt.Errorf("%v is on line %d already: %w", r.Addr, e.rows[first].Line, ErrTaken)
	}
	key := pl.key(r.Owner)
	if first, twice := e.owners[key]; twice {
		return fmt.Errorf("%q has an address of %v on line %d already: %w", r.Owner, pl.ground.Prefix, e.rows[first].Line, ErrTaken)
	}
	e.addrs[r.Addr], e.owners[key] = i, i
	return nil
}

// has says what other peers have of a row: all of it, or an owner who has it for a shorter time, at a peer that can
// make it longer.
func (e *elsewhere) has(pl *pool, r *Row, named func(string) drawbridge.PeerID) (same bool, at drawbridge.PeerID, err error) {
	if i, ok := e.addrs[r.Addr]; ok {
		o := &e.rows[i]
		switch {
		case !o.allocation() || o.Owner != r.Owner:
			return false, 0, fmt.Errorf("%v is %s to %q at %s: %w", r.Addr, o.Use, o.Owner, o.Peer, ErrTaken)
		case o.lasts(r.Until):
			return true, 0, nil
		}
		if at = named(o.Peer); at == 0 {
			return true, 0, nil // it was removed since it spoke
		}
		return false, at, nil
	}
	if i, ok := e.owners[pl.key(r.Owner)]; ok {
		o := &e.rows[i]
		return false, 0, fmt.Errorf("%q has %v already, at %s: %w", r.Owner, o.Addr, o.Peer, ErrTaken)
	}
	return false, 0, nil
}

// lasts reports whether an allocation lasts until a time, to the second: files and the API have no more.
func (r *Row) lasts(until time.Time) bool {
	return r.Until.IsZero() || !until.IsZero() && !r.Until.Truncate(time.Second).Before(until.Truncate(time.Second))
}

func (e *Entry) lasts(until time.Time) bool {
	return e.Until == 0 || !until.IsZero() && int64(e.Until)/int64(time.Second) >= until.Unix()
}

// claimable says what here stands against a claim, or that the owner has the address already.
func (pl *pool) claimable(r *Row) (*Entry, error) {
	at, err := pl.ring.Offset(r.Addr)
	if err != nil {
		return nil, err
	}
	if e := pl.space.entries.at(at); e != nil && e.Owner == r.Owner && e.Use != Foreign {
		return e, nil
	}
	if e := pl.space.of(r.Owner); e != nil {
		return nil, fmt.Errorf("%q has %v already: %w", r.Owner, pl.ring.Addr(e.Offset), ErrTaken)
	}
	return nil, pl.space.obstacle(at)
}

// giver is the peer that can give an address.
func (p *Peer) giver(pl *pool, a netip.Addr, reachable func(drawbridge.PeerID) bool) (drawbridge.PeerID, error) {
	at, err := pl.ring.Offset(a)
	if err != nil {
		return 0, err
	}
	owner := pl.ring.regs[pl.ring.blockOf(at)].Owner
	switch {
	case owner == Holder{}:
		return 0, fmt.Errorf("%v: nobody owns its block yet: %w", a, ErrUnable)
	case !p.decided.lives(owner):
		return 0, fmt.Errorf("%v is in the space of %s, which was removed; its heir has not adopted it yet: %w", a, p.decided.name(owner.Peer), ErrUnable)
	case owner.Peer != p.me.Peer && !reachable(owner.Peer):
		return 0, fmt.Errorf("%v is in the space of %s, which cannot be reached: %w", a, p.decided.name(owner.Peer), ErrUnable)
	}
	return owner.Peer, nil
}
