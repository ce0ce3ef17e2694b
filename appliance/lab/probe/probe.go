// Package probe finds out what a network of namespaces carries: who reaches whom and by which protocol, how many copies
// of a broadcast arrive where, how long a stream is interrupted, how much TCP gets through. It stands in for ping,
// iperf and tcpdump in tests, and its results are JSON.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// Host is a computer to probe from and to.
type Host struct {
	Name      string
	Netns     string // name of its namespace
	Interface string
	Addrs     []netip.Addr
}

// open holds the namespaces of hosts until close.
func open(hosts []Host) (spaces []*netlab.Namespace, err error) {
	for _, h := range hosts {
		n, err := netlab.Open(h.Netns)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("host %s: %w", h.Name, err), closeAll(spaces))
		}
		spaces = append(spaces, n)
	}
	return spaces, nil
}

func closeAll(spaces []*netlab.Namespace) error {
	var errs []error
	for _, n := range spaces {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// Reach is who reached whom.
type Reach struct {
	Asked   int      `json:"asked"`
	Reached int      `json:"reached"`
	Missing []string `json:"missing"`  // as "ping w1 > 10.42.0.14 (host1)"
	Worst   float64  `json:"worst_ms"` // the longest round trip, or exchange, in milliseconds
}

// OK reports whether everybody was reached, and anybody asked.
func (r Reach) OK() bool { return r.Asked > 0 && r.Asked == r.Reached }

func (r Reach) String() string {
	s := fmt.Sprintf("%d of %d reached", r.Reached, r.Asked)
	if len(r.Missing) > 0 {
		s += ", not: " + strings.Join(r.Missing, "; ")
	}
	return s
}

// And adds what another probe found.
func (r Reach) And(o Reach) Reach {
	return Reach{r.Asked + o.Asked, r.Reached + o.Reached, append(slices.Clone(r.Missing), o.Missing...), max(r.Worst, o.Worst)}
}

func (r *Reach) miss(what string, from Host, to netip.Addr, name string, why error) {
	text := fmt.Sprintf("%s %s > %v (%s)", what, from.Name, to, name)
	if why != nil {
		text += ": " + why.Error()
	}
	r.Missing = append(r.Missing, text)
}

// askAgain is how often Sweep repeats what was not answered.
const askAgain = 100 * time.Millisecond

// Ping asks every address of every host from every other, all at the same time, again and again until all have
// answered or ctx ends. size is how many bytes follow each ICMP header.
func Ping(ctx context.Context, hosts []Host, size int) (Reach, error) {
	spaces, err := open(hosts)
	if err != nil {
		return Reach{}, err
	}
	defer closeAll(spaces)
	var mu sync.Mutex
	var total Reach
	var errs error
	var all sync.WaitGroup
	for i, from := range hosts {
		for _, six := range []bool{false, true} {
			all.Go(func() {
				r, err := pingFrom(ctx, spaces[i], from, hosts, six, size)
				mu.Lock()
				defer mu.Unlock()
				total, errs = total.And(r), errors.Join(errs, err)
			})
		}
	}
	all.Wait()
	slices.Sort(total.Missing)
	return total, errs
}

// target is one address to reach.
type target struct {
	addr netip.Addr
	name string
}

// targets are the addresses of one family of all other hosts.
func targets(from Host, hosts []Host, six bool) (list []target) {
	for _, h := range hosts {
		for _, a := range h.Addrs {
			if h.Name != from.Name && a.Is6() == six {
				list = append(list, target{a, h.Name})
			}
		}
	}
	return list
}

func pingFrom(ctx context.Context, n *netlab.Namespace, from Host, hosts []Host, six bool, size int) (r Reach, err error) {
	list := targets(from, hosts, six)
	r.Asked = len(list)
	if len(list) == 0 {
		return r, nil
	}
	p, err := n.NewPinger(six)
	if err != nil {
		return r, err
	}
	defer p.Close()
	waiting := map[netip.Addr]target{}
	for _, t := range list {
		waiting[t.addr] = t
	}
	for len(waiting) > 0 && ctx.Err() == nil {
		sent := time.Now()
		for to := range waiting {
			_ = p.Send(to, 0, size) // unanswered, then
		}
		for len(waiting) > 0 {
			who, _, err := p.Receive(sent.Add(askAgain))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return r, err
			}
			if _, ok := waiting[who]; ok {
				delete(waiting, who)
				r.Reached++
				r.Worst = max(r.Worst, milliseconds(time.Since(sent)))
			}
		}
	}
	for _, t := range list {
		if _, ok := waiting[t.addr]; ok {
			r.miss("ping", from, t.addr, t.name, nil)
		}
	}
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// byName orders hosts, so that results are the same from run to run.
func byName(a, b Copies) int { return cmp.Compare(a.Host, b.Host) }
