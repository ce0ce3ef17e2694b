package dhcp

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Workers wait for Leases, one message each; those of one client always go to the same, and so stay in order. With
// probes of 0.6 s on the wire they hand out 50 addresses a second. A flood from one client fills one queue, which is
// short: what waits there longer than a client does is worth nothing.
const (
	workers     = 32
	queueLength = 16
)

type job struct {
	packet drawbridge.Packet
	port   string
}

var seed = maphash.MakeSeed()

// Take keeps a copy of a frame that is for the server, to be answered by Run, and reports whether it was for the
// server: then it goes nowhere else. It does not wait.
func (s *Server) Take(p drawbridge.Packet, port string) bool {
	if !s.Wants(p.Frame, port) {
		return false
	}
	queue := s.queues[maphash.Comparable(seed, p.Frame.Src())%workers]
	if len(queue) == cap(queue) { // spares the copy; another may still come first
		s.counts[QueueFull].Add(1)
		return true
	}
	p.Frame = slices.Clone(p.Frame)
	select {
	case queue <- job{p, port}:
	default:
		s.counts[QueueFull].Add(1)
	}
	return true
}

// Run answers what Take kept, and advertises the server on ports with an IPv6 subnet, until the context ends.
func (s *Server) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	for _, queue := range s.queues {
		wait.Go(func() { s.work(ctx, queue) })
	}
	wait.Go(func() { s.advertise(ctx) })
	wait.Wait()
	return ctx.Err()
}

func (s *Server) work(ctx context.Context, queue chan job) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-queue:
			if reply, ok := s.Serve(ctx, j.packet, j.port, s.config.Now()); ok {
				s.config.Inject(j.port, reply)
			}
		}
	}
}

func (s *Server) advertise(ctx context.Context) {
	tick := time.NewTicker(s.config.Advertise)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case port := <-s.bound:
			s.advertiseOn(port)
		case <-tick.C:
			for port := range *s.links.Load() {
				s.advertiseOn(port)
			}
		}
	}
}

func (s *Server) advertiseOn(port string) {
	if l := (*s.links.Load())[port]; l != nil && l.Six != nil {
		s.config.Inject(port, l.advertisement(allNodes, groupMAC(allNodes), 3*s.config.Advertise))
	}
}
