package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// ExportAddresses implements web.Addresser. A file that lacks what some peer gave is a bad backup, so it is asked for by name.
func (n *Node) ExportAddresses(ctx context.Context, e web.AddressExport) ([]byte, error) {
	rows, missing, err := n.allRows(ctx)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 && !e.Partial {
		return nil, fmt.Errorf("%w: %s did not answer, and would be missing from the file; ask for a partial one if that is what you want",
			web.ErrUnavailable, strings.Join(missing, ", "))
	}
	rows = slices.DeleteFunc(rows, func(r ipam.Row) bool { return r.Use != ipam.Mine.String() && r.Use != ipam.Borrowed.String() })
	slices.SortFunc(rows, func(a, b ipam.Row) int { return a.Addr.Compare(b.Addr) })
	write := ipam.WriteCSV
	if e.Format == "json" {
		write = ipam.WriteJSON
	}
	var b bytes.Buffer
	err = write(&b, rows)
	return b.Bytes(), err
}

// allRows are the addresses that are not free at all peers, each row with the name of the peer that says so, and the peers that did
// not answer.
func (n *Node) allRows(ctx context.Context) (rows []ipam.Row, missing []string, err error) {
	here, err := n.Addresses(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	there, missing := n.rowsOfOthers(ctx)
	for _, p := range n.router.Peers() {
		if p.State == mesh.StateUnreachable && p.ID != n.creds.ID() {
			missing = append(missing, string(p.Name))
		}
	}
	slices.Sort(missing)
	return append(rowsOf(here), there...), missing, nil
}

// rowsOfOthers are those of all peers that answer, and the names of those that do not.
func (n *Node) rowsOfOthers(ctx context.Context) (rows []ipam.Row, silent []string) {
	var mu sync.Mutex
	n.askAll(ctx, addressQuestion{Op: opRows}, func(p mesh.PeerStatus, r addressReply, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			silent = append(silent, string(p.Name))
		}
		rows = append(rows, rowsOf(r.Rows)...)
	})
	return rows, silent
}

// rowsOf are addresses as the address management has them.
func rowsOf(all []web.Address) (rows []ipam.Row) {
	for _, a := range all {
		addr, err := netip.ParseAddr(a.Address)
		if err != nil {
			continue // of a peer that says nonsense
		}
		r := ipam.Row{Addr: addr, Use: a.Use, Owner: a.Owner, Peer: a.At}
		if a.Until != nil {
			r.Until = *a.Until
		}
		rows = append(rows, r)
	}
	return rows
}

// ImportAddresses implements web.Addresser. First everything is checked against what all peers say; then each peer gives what
// is in its own space. Should one refuse what was free a moment ago, what the others gave is taken back.
func (n *Node) ImportAddresses(ctx context.Context, file []byte, dry bool) (out web.AddressImport, err error) {
	rows, err := ipam.ReadRows(file)
	if p, ok := errors.AsType[ipam.Problem](err); ok {
		return out, invalidImport([]ipam.Problem{p})
	}
	plan, err := n.planImport(ctx, rows)
	if err != nil {
		return out, err
	}
	out.Same, out.Left = plan.Same, plan.Left
	for _, c := range plan.Claims {
		a := web.ImportedAddress{Line: c.Line, Address: c.Addr.String(), Owner: c.Owner, At: string(n.nameOfPeer(c.At))}
		if !c.Until.IsZero() {
			a.Until = &c.Until
		}
		out.Given = append(out.Given, a)
	}
	if dry || len(plan.Claims) == 0 {
		return out, nil
	}
	if err = n.claimAll(ctx, plan.Claims); err != nil {
		return web.AddressImport{}, err
	}
	n.changed.tell()
	n.log.Info("addresses imported", "given", len(plan.Claims), "same", plan.Same, "left", plan.Left)
	return out, nil
}

func (n *Node) planImport(ctx context.Context, rows []ipam.Row) (plan ipam.Plan, err error) {
	others, silent := n.rowsOfOthers(ctx)
	answered := map[drawbridge.PeerID]bool{}
	for _, p := range n.reachablePeers() {
		answered[p.ID] = !slices.Contains(silent, string(p.Name))
	}
	var problems []ipam.Problem
	err = n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) {
		plan, problems = p.Plan(now, rows, others, func(id drawbridge.PeerID) bool { return answered[id] })
	})
	switch {
	case err != nil:
		return plan, addressError(err)
	case len(problems) == 1 && problems[0].Line == 0:
		return plan, addressError(problems[0])
	case len(problems) > 0:
		return plan, invalidImport(problems)
	}
	return plan, nil
}

func invalidImport(problems []ipam.Problem) (out web.InvalidImport) {
	for _, p := range problems {
		out = append(out, web.ImportProblem{Line: p.Line, Text: p.Err.Error()})
	}
	return out
}

// addressClaim asks a peer to give an address to an owner.
type addressClaim struct {
	Address string        `json:"address"`
	Owner   string        `json:"owner"`
	For     time.Duration `json:"for,omitempty"`
	Line    int           `json:"line"`
	longer  bool          // the owner has it already, and has it for longer then
}

// claimsAtOnce is how many claims one question has: a quarter of a MiB at most, and one or two writes to the disk.
const claimsAtOnce = 500

// claimAll has every peer give its part, one after the other, or takes back what was given.
func (n *Node) claimAll(ctx context.Context, claims []ipam.Claim) error {
	parts := map[drawbridge.PeerID][]addressClaim{}
	for _, c := range claims {
		parts[c.At] = append(parts[c.At], addressClaim{c.Addr.String(), c.Owner, c.For, c.Line, c.Longer})
	}
	given := map[drawbridge.PeerID][]addressClaim{}
	for id, all := range parts {
		for part := range slices.Chunk(all, claimsAtOnce) {
			given[id] = append(given[id], part...) // whoever does not answer may have given it nevertheless
			r, err := n.askPeer(ctx, id, addressQuestion{Op: opClaim, Claims: part})
			if err == nil && len(r.Refused) > 0 {
				err = r.Refused
			}
			if err != nil {
				return n.unclaimAll(ctx, given, fmt.Errorf("peer %s: %w", n.nameOfPeer(id), err))
			}
		}
	}
	return nil
}

// askPeer asks another peer, or this one.
func (n *Node) askPeer(ctx context.Context, id drawbridge.PeerID, q addressQuestion) (addressReply, error) {
	if id == n.creds.ID() {
		return n.decideAddress(ctx, id, q)
	}
	return n.askAddresses(ctx, id, q)
}

// unclaimAll takes back what an import gave before it was refused.
func (n *Node) unclaimAll(ctx context.Context, given map[drawbridge.PeerID][]addressClaim, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor) // also when whoever asked has gone
	defer cancel()
	var left []string
	for id, all := range given {
		all = slices.DeleteFunc(all, func(c addressClaim) bool { return c.longer })
		for part := range slices.Chunk(all, claimsAtOnce) {
			if _, err := n.askPeer(ctx, id, addressQuestion{Op: opUnclaim, Claims: part}); err != nil {
				left = append(left, fmt.Sprintf("%s (%s): %v", n.nameOfPeer(id), drawbridge.Counted(len(part), "address", "addresses"), err))
			}
		}
	}
	n.changed.tell()
	if len(left) == 0 {
		return why
	}
	return fmt.Errorf("%w: the import was refused (%w), but could not be taken back at %s; import the file again, or release what drawbridge ipam list shows",
		web.ErrUnavailable, why, strings.Join(left, ", "))
}

// claimPatience is how long a claim may wait for another peer, when the block was given away a moment ago: less than the asker waits.
const claimPatience = askOne / 2

// claimHere gives addresses of this peer's space, and says which it does not give.
func (n *Node) claimHere(ctx context.Context, claims []addressClaim) (r addressReply, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, c := range claims {
		group.Go(func() {
			q := ipam.Request{Owner: c.Owner, For: c.For, Patience: claimPatience}
			var err error
			if q.Addr, err = netip.ParseAddr(c.Address); err == nil {
				_, err = n.addresses.Allocate(ctx, q)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				r.Refused = append(r.Refused, web.ImportProblem{Line: c.Line, Text: err.Error()})
			}
		})
	}
	group.Wait()
	slices.SortFunc(r.Refused, func(a, b web.ImportProblem) int { return a.Line - b.Line })
	n.changed.tell()
	return r, nil
}

// unclaimHere frees addresses that are still whose they were claimed for.
func (n *Node) unclaimHere(ctx context.Context, claims []addressClaim) error {
	var failed []error
	err := n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) {
		for _, c := range claims {
			a, err := netip.ParseAddr(c.Address)
			if owner, ok := p.Owner(a); err == nil && ok && owner == c.Owner {
				failed = append(failed, p.Release(now, a))
			}
		}
	})
	n.changed.tell()
	return addressError(errors.Join(err, errors.Join(failed...)))
}
