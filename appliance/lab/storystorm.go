package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// stormFor is how long the storm chapter lets things go wrong.
const stormFor = 300 * time.Millisecond

// stormQuiet is after which no copy of a broadcast is still on its way.
const stormQuiet = 300 * time.Millisecond

// storm forces both gates open, and counts the copies of one broadcast; then it does the same with ordinary bridges.
func (s *story) storm(ctx context.Context) error {
	if _, err := s.activeAndReady(ctx); err != nil {
		return err
	}
	s.chapter("Both gates are forced open for %v, past lease and kernel: a loop through the mesh. host2 sends one broadcast.", stormFor)
	c, err := probe.Count(s.probes())
	if err != nil {
		return err
	}
	forced := make(chan error, 1)
	go func() { forced <- Force(ctx, demoLab, []string{"a", "b"}, stormFor) }()
	<-time.After(stormFor / 10)
	err = errors.Join(c.Send(ctx, "host2", 1, time.Millisecond), <-forced)
	came, finished := c.Finish(stormQuiet)
	if err := errors.Join(err, finished); err != nil {
		return err
	}
	s.say("   With split horizon: %s.", copiesOf(came))
	if !came.Single() {
		return errors.New("a broadcast was doubled")
	}
	return s.ordinaryStorm(ctx)
}

// copiesOf says who got how many.
func copiesOf(b probe.Broadcasts) string {
	var all []string
	total := 0
	for _, h := range b.Hosts {
		if n := h.Most + h.Echoes; n > 0 {
			all = append(all, fmt.Sprintf("%s got it %s", h.Host, times(n)))
			total += n
		}
	}
	return strings.Join(all, ", ") + "; " + drawbridge.Counted(total, "copy", "copies") + " in all"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (s *story) probes() (hosts []probe.Host) {
	for _, h := range s.lab.plan.hosts {
		hosts = append(hosts, probe.Host{Name: h.Name, Netns: s.lab.plan.space(h.Name), Interface: hostInterface, Addrs: s.lab.Addresses(h.Name)})
	}
	return hosts
}

// ordinaryStorm joins two switches by two cables, as two bridges do that are both open, for the same time.
func (s *story) ordinaryStorm(ctx context.Context) (err error) {
	spaces := map[string]*netlab.Namespace{}
	defer func() {
		for _, n := range spaces {
			err = errors.Join(err, n.Close(), netlab.Delete(n.Name()))
		}
	}()
	for _, name := range []string{"left", "right", "station"} {
		if spaces[name], err = netlab.Create(demoLab + "-" + name); err != nil {
			delete(spaces, name)
			return err
		}
	}
	left, right, station := spaces["left"], spaces["right"], spaces["station"]
	err = errors.Join(left.Bridge(bridge), right.Bridge(bridge), netlab.Wire(netlab.End{In: station, Name: hostInterface}, netlab.End{In: left, Name: "station"}),
		left.Attach("station", bridge))
	for _, cable := range []string{"a", "b"} {
		err = errors.Join(err, netlab.Wire(netlab.End{In: left, Name: cable}, netlab.End{In: right, Name: cable}), left.Attach(cable, bridge), right.Attach(cable, bridge))
	}
	if err != nil {
		return err
	}
	c, err := probe.Count([]probe.Host{{Name: "station", Netns: station.Name(), Interface: hostInterface}})
	if err != nil {
		return err
	}
	err = c.Send(ctx, "station", 1, time.Millisecond)
	<-time.After(stormFor)
	err = errors.Join(err, left.Down("a")) // the cap: a storm does not end by itself
	came, finished := c.Finish(stormQuiet)
	if err = errors.Join(err, finished); err == nil {
		s.say("   Without, two ordinary bridges in the same place: the sender alone heard its own broadcast %s before a cable was pulled.", times(came.Hosts[0].Echoes))
	}
	return err
}
