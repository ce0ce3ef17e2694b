package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// story is what the demo tells.
type story struct {
	w    io.Writer
	step int
	lab  *Lab
}

const picture = `
      w1           x1           y1           z1            guests: plain computers
      |            |            |            |
     (w)----------(x)----------(y)----------(z)            peers: each on its host, one mesh
      |                                      |
      +---------(a)            (b)-----------+             gateways
                 |              |
          -------+--- office ---+-------                   a VLAN, with nothing of ours on it
                 |              |
               host1          host2                        plain computers
`

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

func (s *story) chapter(format string, args ...any) {
	s.step++
	s.say("\n%d. %s", s.step, fmt.Sprintf(format, args...))
}

// How long the demo watches.
const (
	answerLimit   = 5 * time.Second
	transferTime  = 2 * time.Second
	outageWatch   = 4 * time.Second
	outagePace    = 5 * time.Millisecond
	takeoverLimit = 10 * time.Second
)

// tell tells it; an error is something that should have worked.
func (s *story) tell(ctx context.Context, binary, engine string) error {
	s.say("Drawbridge makes one Ethernet of hosts that are far apart, and joins it to a VLAN through two gateways,")
	s.say("of which exactly one is open at any time.\n%s", picture)
	s.chapter("Six hosts, each a network namespace with the real daemon, found a network and join it.")
	l, err := Up(ctx, Options{Name: demoLab, Binary: binary, Engine: engine, Progress: indent{s.w}})
	if err != nil {
		return err
	}
	s.lab = l
	for _, chapter := range []func(context.Context) error{s.guests, s.vlan, s.everybody, s.rate, s.loseAPeer, s.killed, s.frozen, s.unplugged, s.switchover, s.storm, s.looped} {
		if err := chapter(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, strings.Join(l.problems(ctx), "\n"))
		}
	}
	s.say("\nThat is all: nothing of it was outside of this program's own namespaces.")
	return nil
}

// indent puts progress under its chapter.
type indent struct{ w io.Writer }

func (i indent) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Fprint(i.w, "   "+line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (s *story) guests(ctx context.Context) error {
	s.chapter("Guests of different peers are in one Ethernet: x1 pings y1.")
	return s.ping(ctx, "x1", "y1")
}

func (s *story) vlan(ctx context.Context) error {
	s.chapter("The VLAN is in it too: w1 pings host1, which has never heard of Drawbridge.")
	active := s.lab.active(ctx)["office"]
	if active == "" {
		return errors.New("no gateway is active; `drawbridge segments` would say why")
	}
	s.say("   %s is the active gateway; every frame between mesh and VLAN goes through it.", active)
	return s.ping(ctx, "w1", "host1")
}

func (s *story) addrs(host string) []netip.Prefix {
	for _, h := range s.lab.plan.hosts {
		if h.Name == host {
			return h.addrs
		}
	}
	return nil
}

// ping asks a host by all of its addresses and tells how long it took.
func (s *story) ping(ctx context.Context, from, to string) error {
	for _, a := range s.addrs(to) {
		rtt, err := s.pingOne(ctx, from, a.Addr())
		if err != nil {
			return err
		}
		s.say("   %s -> %s (%v): answered in %.2f ms", from, to, a.Addr(), float64(rtt)/float64(time.Millisecond))
	}
	return nil
}

func (s *story) pingOne(ctx context.Context, from string, to netip.Addr) (rtt time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return rtt, s.lab.within(from, func(n *netlab.Namespace) error {
		rtt, err = n.Ping(ctx, to)
		return err
	})
}

func (s *story) everybody(ctx context.Context) error {
	s.chapter("Everybody reaches everybody, by IPv4 and IPv6.")
	var all sync.WaitGroup
	var mu sync.Mutex
	asked, errs := 0, []error(nil)
	for _, from := range s.lab.plan.hosts {
		for _, to := range s.lab.plan.hosts {
			if from.Name == to.Name {
				continue
			}
			for _, a := range to.addrs {
				asked++
				all.Go(func() {
					_, err := s.pingOne(ctx, from.Name, a.Addr())
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						errs = append(errs, err)
					}
				})
			}
		}
	}
	all.Wait()
	s.say("   %d of %d answered.", asked-len(errs), asked)
	return errors.Join(errs...)
}

func (s *story) rate(ctx context.Context) error {
	s.chapter("It carries: TCP from x1 to y1, encrypted on the way, on one machine that does all the work of both ends.")
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	return s.lab.within("x1", func(from *netlab.Namespace) error {
		return s.lab.within("y1", func(to *netlab.Namespace) error {
			r, err := from.Transfer(ctx, to, s.addrs("y1")[0].Addr())
			if err == nil {
				s.say("   %v", r)
			}
			return err
		})
	})
}

func (s *story) loseAPeer(ctx context.Context) error {
	s.chapter("A peer dies (kill -9 on z). The others do not notice: x1 asks y1 two hundred times a second meanwhile.")
	stream, err := s.watch(ctx, "x1", "y1", func() error { return Kill(demoLab, "z") })
	if err != nil {
		return err
	}
	s.say("   %d of %d answered, never more than %s without an answer.", stream.Answered, stream.Sent, inMilliseconds(stream.Outage))
	began := time.Now()
	if err := Start(ctx, demoLab, "z"); err != nil {
		return err
	}
	if _, err := s.pingOne(ctx, "x1", s.addrs("z1")[0].Addr()); err != nil {
		return err
	}
	s.say("   z was started again; its guest z1 answered %s later.", inMilliseconds(time.Since(began)))
	return nil
}

// watch asks one host from another at a steady pace while something happens after a second.
func (s *story) watch(ctx context.Context, from, to string, happens func() error) (stream netlab.Stream, err error) {
	ctx, cancel := context.WithTimeout(ctx, outageWatch)
	defer cancel()
	happened := make(chan error)
	go func() {
		<-time.After(outageWatch / 4)
		happened <- happens()
	}()
	err = s.lab.within(from, func(n *netlab.Namespace) error {
		stream, err = n.Stream(ctx, s.addrs(to)[0].Addr(), outagePace)
		return err
	})
	return stream, errors.Join(err, <-happened)
}

// inMilliseconds is a time in one unit throughout, so that those of two chapters can be compared at a glance.
func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}
