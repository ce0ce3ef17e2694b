package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// failure is one row of the failure table (docs/failures.md): what happens to two gateways, by which signal it is noticed,
// and what becomes of the segment. A is the gateway that is active before, B the other, W the witness, X a peer with a guest.
type failure struct {
	name  string
	layer string // that deals with it

	strike func(*field)
	mend   func(*field)

	signals []signal
	after   []signal // told when it is over
	active  string   // A, B, C, "B or C", or nobody, while it lasts
	quiet   bool     // no gate moves
	copies  int      // of one broadcast that one host may get while it lasts; 0: one
	policy  string   // of quorum loss; empty: close
	lasts   time.Duration
}

// signal is an event by which somebody notices.
type signal struct {
	who  string // A, B, C, W, X, or any
	kind string
	text string // in the event's text or reason
}

func (s signal) String() string { return fmt.Sprintf("%s %s %q", s.who, s.kind, s.text) }

// nobody is active.
const nobody = "nobody"

// field is a lab on which failures happen one after the other.
type field struct {
	*bed
	t      *testing.T // of the present row
	j      *journals
	halt   *netlab.Stalls
	a, b   string // names of A and B
	c      string // and of a third gateway, if there is one
	policy string
	engine string // what the configuration says of the overlay's engine; empty: nothing
	from   time.Time
}

// watched is the time that a fault lasts at least: longer than a term, a listening port and the rhythm of readiness. elected is
// longer than it takes gateways without voters to elect one of themselves (docs/protocol/alone.md).
const (
	watched = 1200 * time.Millisecond
	elected = 2500 * time.Millisecond
)

// field builds a lab and follows its events.
func newField(t *testing.T, name string, of plan) *field {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".toml")
	must(t, os.WriteFile(path, []byte(of.topology()), 0o600))
	b := up(t, path)
	return &field{bed: b, t: t, j: b.follow(t), halt: watchStalls(t)}
}

// node is the name of a lab's node that a row calls A, B, C, W or X.
func (f *field) node(who string) string {
	switch who {
	case "A":
		return f.a
	case "B":
		return f.b
	case "C":
		return f.c
	}
	return strings.ToLower(who)
}

// at is the switch port of a gateway's cable to the segment.
func (f *field) at(who string) string { return f.node(who) + ".s0" }

// do ends the row when something cannot be done at all.
func (f *field) do(errs ...error) {
	f.t.Helper()
	must(f.t, errs...)
}

// observer is a node that no row harms.
const observer = "x"

// holder is the active gateway as the observer sees it.
func (f *field) holder() string { return f.active(f.t, observer) }

// calm waits until A is active and every other gateway could take over, and says who is who.
func (f *field) calm(t *testing.T) {
	t.Helper()
	f.t = t
	eventually(t, talkLimit, "one gateway is active and every other ready", func() bool {
		s := f.segment(t, observer)
		if s.Active == nil || len(s.Gateways) < 2 {
			return false
		}
		f.a, f.b, f.c = *s.Active, "", ""
		for _, g := range s.Gateways {
			switch {
			case g.Peer == f.a:
			case f.b == "":
				f.b = g.Peer
			default:
				f.c = g.Peer
			}
			if !g.Ready && g.Gate != web.GateOpen {
				return false
			}
		}
		return true
	})
}

// segment is the segment office as a node sees it.
func (b *bed) segment(t *testing.T, node string) (office web.Segment) {
	t.Helper()
	segments, err := b.api(node).Segments(within(t, reachLimit))
	must(t, err)
	for _, s := range segments {
		if s.Name == "office" {
			office = s
		}
	}
	return office
}

// run lets one row happen.
func (r failure) run(t *testing.T, f *field) {
	t.Helper()
	f.calm(t)
	f.setPolicy(cmp.Or(r.policy, "close"))
	if f.engine != "" {
		f.everywhereInKernel(t)
	}
	count := f.count(t)
	f.from = time.Now()
	r.strike(f)
	r.effect(f)
	for _, s := range r.signals {
		f.noticed(s, r.layer)
	}
	f.settle(r)
	r.mend(f)
	for _, s := range r.after {
		f.noticed(s, r.layer)
	}
	f.calmAgain(t)
	r.check(t, f, count())
}

// effect waits for what is to become of the segment.
func (r failure) effect(f *field) {
	f.t.Helper()
	if r.active == "A" {
		return // it is; settle looks whether it stays so
	}
	eventually(f.t, reachLimit, r.active+" is active", func() bool { return f.as(r.active) })
}

// as reports whether the gateways stand as a row wants: who is active has an open gate, and all others a shut one.
func (f *field) as(want string) bool {
	s := f.segment(f.t, observer)
	if want == nobody {
		return s.Active == nil && !slices.ContainsFunc(s.Gateways, func(g web.Gateway) bool { return g.Gate == web.GateOpen })
	}
	if s.Active == nil {
		return false
	}
	for _, g := range s.Gateways {
		if (g.Gate == web.GateOpen) != (g.Peer == *s.Active) {
			return false
		}
	}
	return slices.ContainsFunc(strings.Split(want, " or "), func(who string) bool { return f.node(who) == *s.Active })
}

// settle lets the fault last, and looks whether the effect does.
func (f *field) settle(r failure) {
	f.t.Helper()
	<-time.After(max(r.lasts, watched) - time.Since(f.from))
	if !f.as(r.active) && !f.stalled() {
		f.t.Errorf("%s is not active any more while it lasts, but %s:\n%s", r.active, f.holder(), f.told())
	}
}

// stalled reports whether a lease ended since the fault while this machine stood still, which no lease of a term of 40 ms
// outlives: that is no news about the product.
func (f *field) stalled() bool {
	f.t.Helper()
	for _, h := range lapses(since(f.j.settled(), f.from)) {
		if why := h.beside(f.halt); len(why) > 0 {
			f.t.Logf("not the product's: %v, and %v", h, why)
			return true
		}
	}
	return false
}

// told is what happened since the fault.
func (f *field) told() string {
	var lines []string
	for _, h := range since(f.j.settled(), f.from) {
		if h.Kind != "config_applied" && !strings.HasPrefix(h.Kind, "member_") && !strings.HasPrefix(h.Kind, "peer_") && !strings.HasPrefix(h.Kind, "link_") {
			lines = append(lines, h.String()+" | "+h.Reason)
		}
	}
	return strings.Join(lines, "\n")
}

// noticed waits for a signal.
func (f *field) noticed(s signal, layer string) {
	f.t.Helper()
	seen := func() bool {
		return slices.ContainsFunc(since(f.j.now(), f.from), func(h happening) bool {
			return (s.who == "any" || h.node == f.node(s.who)) && h.Kind == s.kind && (strings.Contains(h.Text, s.text) || strings.Contains(h.Reason, s.text))
		})
	}
	for end := time.Now().Add(reachLimit); !seen(); <-time.After(askEvery) {
		if time.Now().After(end) {
			f.t.Errorf("nobody noticed %v (layer %s):\n%s", s, layer, f.told())
			return
		}
	}
}

// calmAgain waits until everything is as it was before, whoever is active.
func (f *field) calmAgain(t *testing.T) {
	t.Helper()
	a, b, c := f.a, f.b, f.c
	f.calm(t)
	f.reach(t, 0)
	f.a, f.b, f.c = a, b, c
}

// check looks at what no fault may do.
func (r failure) check(t *testing.T, f *field, came probe.Broadcasts) {
	t.Helper()
	for _, h := range came.Hosts {
		if h.Most > max(r.copies, 1) || h.Echoes > max(r.copies, 0) {
			t.Errorf("%s got a broadcast %d times and %d of its own: %v", h.Host, h.Most, h.Echoes, h.Doubled)
		}
	}
	f.j.alwaysOneHolder(t)
	moved := slices.ContainsFunc(since(f.j.now(), f.from), func(h happening) bool { return h.Kind == "gate_open" || h.Kind == "gate_shut" })
	if r.quiet && moved && !f.stalled() {
		t.Errorf("a gate moved:\n%s", f.told())
	}
	if t.Failed() {
		t.Logf("A is %s, B is %s:\n%s", f.a, f.b, f.told())
	}
}

// count has a guest and a host on the VLAN broadcast until the count is asked for.
func (f *field) count(t *testing.T) (finish func() probe.Broadcasts) {
	t.Helper()
	c, err := probe.Count(f.hosts)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	senders := []string{"x1", "host1"}
	sent := make(chan error, len(senders))
	for _, h := range senders {
		go func() { sent <- c.Send(ctx, h, 1_000_000, 2*time.Millisecond) }()
	}
	return func() probe.Broadcasts {
		stop()
		for range senders {
			must(t, <-sent)
		}
		r, err := c.Finish(quiet)
		must(t, err)
		return r
	}
}

// cut and heal are the underlay between two nodes of a row, or a gateway's cable to the segment.
func (f *field) cut(who, whom string)  { f.do(lab.Cut(f.Name, f.node(who), f.far(whom))) }
func (f *field) heal(who, whom string) { f.do(lab.Heal(f.Name, f.node(who), f.far(whom))) }

// flap pulls a gateway's cable to the segment and plugs it in again.
func (f *field) flap(who string) { f.cut(who, "office"); f.heal(who, "office") }

// flapActive does so while the gateway, which has no other beside it, is active. A machine that stood still just before may have
// ended the lease, so that the carrier found a gate that was shut: then the row begins anew.
func (f *field) flapActive(who string) {
	f.t.Helper()
	for {
		eventually(f.t, reachLimit, who+" is active", func() bool { return f.as(who) })
		began := time.Now()
		f.flap(who)
		told := func(kind, why string) bool {
			return slices.ContainsFunc(since(f.j.settled(), began), func(h happening) bool {
				return h.node == f.node(who) && h.Kind == kind && strings.Contains(h.Reason, why)
			})
		}
		eventually(f.t, reachLimit, "the carrier of "+who+" was lost", func() bool { return told("carrier_lost", "") })
		if told("gate_shut", "carrier") || !f.stalled() {
			return // if nothing is told of a gate, the row's signals fail
		}
		f.from = time.Now()
	}
}

func (f *field) far(whom string) string {
	if whom == "office" {
		return whom
	}
	return f.node(whom)
}

func (f *field) kill(who string) {
	f.j.died(f.node(who))
	f.do(lab.Kill(f.Name, f.node(who)))
}

func (f *field) start(who string) { f.do(lab.Start(f.t.Context(), f.Name, f.node(who))) }

// policyOf is a configuration with an engine, and what becomes of the segment without a majority.
const policyOf = `
[[overlay]]
name = "main"
vni = 1
%s

[[segment]]
name = "office"
overlay = "main"
quorum_loss = %q
`

// setPolicy decides what becomes of the segment without a majority, and waits until every gateway goes by it.
func (f *field) setPolicy(policy string) {
	f.t.Helper()
	if f.policy == policy {
		return
	}
	v, err := f.api(observer).PutConfig(within(f.t, reachLimit), "*", "", web.ConfigChange{Text: fmt.Sprintf(policyOf, f.engine, policy)})
	f.do(err)
	f.policy = policy
	eventually(f.t, reachLimit, "every gateway goes by the policy "+policy, func() bool {
		for _, gateway := range []string{f.a, f.b} {
			c, err := f.api(gateway).Config(within(f.t, reachLimit), 0)
			if err != nil || c.Version < v.Version || f.segment(f.t, gateway).QuorumLoss != policy {
				return false
			}
		}
		return true
	})
}
