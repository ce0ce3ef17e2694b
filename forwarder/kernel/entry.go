package kernel

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// programChoose is the filter of a packet socket that shares a port with the engine.
const programChoose = "choose"

// Entry is what an engine takes in of that which ports hear; user space has the rest.
type Entry uint64

// Entries.
const (
	Nothing Entry = iota
	Everything
	Known // for one station that is known, at a peer to which the kernel carries the whole way (Peer.Whole)
)

// Take has the engine take in these frames, Nothing to begin with. What the tunnel brings it delivers in any case. Each frame is taken by
// one of the two, also during the change, where user space reads the port by Share.
func (e *Engine) Take(what Entry) error {
	if err := e.maps[mapEntry].Put(uint32(0), uint64(what)); err != nil {
		return fmt.Errorf("which engine takes in frames: %w", err)
	}
	return nil
}

// Share attaches the filter to a packet socket that reads a port, which leaves to the engine what that takes. Of a segment port, it also is
// the gate: it lets through what gate.CaptureFilter does. It is to be attached anew after AddPort.
func (e *Engine) Share(ifindex, socket int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.ports[ifindex]
	if a == nil {
		return fmt.Errorf("interface %d is no port of the kernel engine", ifindex)
	}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, a.programs[programChoose].FD()); err != nil {
		return fmt.Errorf("interface %d: attach %s: %w", ifindex, programChoose, err)
	}
	return nil
}

// seenEvery is how exactly it is known when an address spoke (SEEN_EVERY in bpf/learn.h).
const seenEvery = time.Second / 16

// Spoke notes that an address spoke at a place now, by the rules of the programs (bpf/learn.h), and reports whether it spoke at another one
// a moment ago: then the frame is an echo.
func (e *Engine) Spoke(m drawbridge.MAC, p Place) (echo bool, err error) {
	now, err := coarse()
	if err != nil {
		return false, err
	}
	key, row := mac{MAC: m}, place{Origin: uint32(p.Origin), Port: uint32(p.Port), Segment: uint32(p.Segment), Seen: uint64(now)}
	for range 2 { // somebody else may have been faster
		var old place
		err = e.maps[mapMACs].Lookup(key, &old)
		silent := now - time.Duration(old.Seen)
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			err = e.maps[mapMACs].Update(key, row, ebpf.UpdateNoExist)
		case err != nil:
		case old.nowhere() && row.elsewhere():
			err = e.maps[mapMACs].Put(key, row)
		case old.same(row) && silent > seenEvery:
			old.Seen = row.Seen
			err = e.maps[mapMACs].Put(key, old)
		case old.same(row):
		case silent < e.options.Settle:
			return true, nil
		default:
			row.Moves = old.Moves + 1
			err = e.maps[mapMACs].Put(key, row)
		}
		if !errors.Is(err, ebpf.ErrKeyExist) {
			break
		}
	}
	if err != nil {
		return false, fmt.Errorf("address %s: %w", m, err)
	}
	return false, nil
}

// nowhere is the place of a station at a peer that has no number yet.
func (p place) nowhere() bool { return p.Origin == 0 && p.elsewhere() }

// elsewhere reports whether it is at another peer.
func (p place) elsewhere() bool { return p.Port == 0 && p.Segment == 0 }

// same is at_same_place of bpf/learn.h.
func (p place) same(q place) bool {
	if p.Segment != 0 || q.Segment != 0 {
		return p.Segment == q.Segment
	}
	return p.Port == q.Port && p.Origin == q.Origin
}
