package main

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// engine bridges the hosts by the kernel engine, as guests of two peers. Its programs and devices go with the
// namespaces.
func engine(*bed, options) error {
	for i, end := range ends {
		ns, err := netlab.Open(end.ns)
		if err != nil {
			return err
		}
		err = ns.Do(func() error { return bridgeInKernel(kernel.Short(i+1), kernel.Short(2-i), end.far) })
		if err := errors.Join(err, ns.Close()); err != nil {
			return err
		}
	}
	return nil
}

func bridgeInKernel(self, far kernel.Short, address string) error {
	e, err := kernel.Load(kernel.Options{Device: "dbk0", Port: 4790, Settle: 300 * time.Millisecond})
	if err != nil {
		return err
	}
	lan, err := net.InterfaceByName("lan0")
	if err != nil {
		return err
	}
	if err := errors.Join(err, e.Take(kernel.Everything), e.Renew(time.Hour), e.Apply(kernel.Table{
		Peers: map[kernel.Short]kernel.Peer{
			self: {Local: true, MaySend: true},
			far:  {MaySend: true, Remote: netip.MustParseAddr(address), Via: far, Parent: far, MTU: 1450},
		},
		Children: map[kernel.Short][]kernel.Short{self: {far}},
	})); err != nil {
		return err
	}
	return e.AddPort(kernel.Port{Ifindex: lan.Index, Self: self, Gate: -1})
}
