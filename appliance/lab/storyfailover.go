package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// The chapters about gateways: each does something to the active one, and tells how long w1 missed host1.

func (s *story) killed(ctx context.Context) error {
	return s.lose(ctx, "dies (kill -9 on %s)", "was started again",
		func(n string) error { return Kill(demoLab, n) }, func(n string) error { return Start(ctx, demoLab, n) })
}

func (s *story) frozen(ctx context.Context) error {
	return s.lose(ctx, "hangs (SIGSTOP to %s): its gate shuts by the clock, in the kernel", "goes on and finds its gate shut",
		func(n string) error { return Freeze(demoLab, n) }, func(n string) error { return Thaw(demoLab, n) })
}

func (s *story) unplugged(ctx context.Context) error {
	return s.lose(ctx, "loses its cable to the VLAN (of %s)", "has its cable again",
		func(n string) error { return Cut(demoLab, n, "office") }, func(n string) error { return Heal(demoLab, n, "office") })
}

// lose lets the active gateway suffer something, and mends that.
func (s *story) lose(ctx context.Context, what, mended string, suffer, mend func(node string) error) error {
	lost, err := s.activeAndReady(ctx)
	if err != nil {
		return err
	}
	s.chapter("The active gateway "+what+", while w1 asks host1 two hundred times a second.", lost)
	stream, err := s.watch(ctx, "w1", "host1", func() error { return suffer(lost) })
	if err != nil {
		return err
	}
	active := ""
	_ = until(takeoverLimit, func() (bool, error) {
		active = s.lab.active(ctx)["office"]
		return active != "" && active != lost, ctx.Err()
	})
	if active == "" || active == lost {
		return fmt.Errorf("nobody took over from %s", lost)
	}
	s.say("   %s is active now. %s", active, missed(stream))
	if err := mend(lost); err != nil {
		return err
	}
	if _, err := s.pingOne(ctx, "w1", s.addrs("host1")[0].Addr()); err != nil {
		return err
	}
	s.say("   %s %s; host1 answers, through %s.", lost, mended, s.lab.active(ctx)["office"])
	return nil
}

// missed says what an interruption cost. A stream without one still has a pause of its pace.
func missed(stream netlab.Stream) string {
	return fmt.Sprintf("%d of %d answered, for %s nobody was; %d doubled.",
		stream.Answered, stream.Sent, inMilliseconds(stream.Outage), stream.Doubled)
}

// activeAndReady waits until there is an active gateway and the other could take over.
func (s *story) activeAndReady(ctx context.Context) (active string, err error) {
	err = until(takeoverLimit, func() (bool, error) {
		if active = s.lab.active(ctx)["office"]; active == "" {
			return false, ctx.Err()
		}
		segments, err := client.New(s.lab.dirOf(active).socket()).Segments(ctx)
		return err == nil && len(segments) == 1 && allReady(segments[0].Gateways), ctx.Err()
	})
	if err != nil {
		return "", fmt.Errorf("the passive gateway is not ready to take over: %w", err)
	}
	return active, nil
}

func allReady(gateways []web.Gateway) bool {
	for _, g := range gateways {
		if !g.Ready && g.Gate != web.GateOpen {
			return false
		}
	}
	return len(gateways) > 1
}

func (s *story) switchover(ctx context.Context) error {
	from, err := s.activeAndReady(ctx)
	if err != nil {
		return err
	}
	s.chapter("A planned switchover away from %s: drawbridge switchover office.", from)
	stream, err := s.watch(ctx, "w1", "host1", func() error { return s.move(ctx, from) })
	if err != nil {
		return err
	}
	s.say("   %s is active now. %s", s.lab.active(ctx)["office"], missed(stream))
	return nil
}

// move asks the active gateway to hand over and waits until it has.
func (s *story) move(ctx context.Context, active string) error {
	api := client.New(s.lab.dirOf(active).socket())
	o, err := api.Switchover(ctx, "office", web.SwitchoverRequest{By: "demo"})
	if err != nil {
		return err
	}
	err = errors.Join(err, until(takeoverLimit, func() (bool, error) {
		o, err = api.Operation(ctx, o.ID)
		return err != nil || o.State != web.OperationRunning, err
	}))
	if err == nil && o.State != web.OperationDone {
		err = fmt.Errorf("switchover %s: %s", o.State, o.Outcome)
	}
	return err
}

func (s *story) looped(ctx context.Context) error {
	s.chapter("Somebody cables the network of w1 to the VLAN: a loop, through the mesh and back.")
	var port web.Port
	began := time.Now()
	err := s.lab.within("w1", func(guest *netlab.Namespace) error {
		return s.lab.within("vlan", func(vlan *netlab.Namespace) error {
			return errors.Join(guest.Bridge("br0"), guest.Attach(hostInterface, "br0"),
				netlab.Wire(netlab.End{In: guest, Name: "cable"}, netlab.End{In: vlan, Name: "stray"}),
				guest.Attach("cable", "br0"), vlan.Attach("stray", "br0"))
		})
	})
	if err != nil {
		return err
	}
	err = until(takeoverLimit, func() (bool, error) {
		ports, err := client.New(s.lab.dirOf("w").socket()).Ports(ctx)
		if err != nil || len(ports) != 1 {
			return false, errors.Join(err, ctx.Err())
		}
		port = ports[0]
		return port.Gate == web.GateShut, ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("the loop was not found: %w", err)
	}
	s.say("   w hears the hello of a gateway on its guest port and blocks it, seen after %s:", inMilliseconds(time.Since(began)))
	for _, p := range port.Problems {
		s.say("   %s", p.Summary)
	}
	s.say("   Nothing circles, and everybody else goes on: x1 pings host1.")
	return s.ping(ctx, "x1", "host1")
}
