package hostnet

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch calls heard for every interface there is and then at every change, until ctx ends. gone means that the
// interface was removed or has another name now; i is then how it last stood. A change is told once, repetitions of the
// kernel are left out. heard runs on the calling goroutine and may take its time: when so many messages pile up that the
// kernel drops some (ENOBUFS), Watch lists all and tells what is different.
//
// A carrier that is lost and back at once may be told as one change, of Losses alone: the kernel puts losses off that
// follow another within a second, and says how the interface stands by then (net/core/link_watch.c).
func Watch(ctx context.Context, heard func(i Interface, gone bool)) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	w := watcher{heard: heard, known: map[int]Interface{}}
	lost := true // nothing is known yet
	for ctx.Err() == nil {
		if lost { // after the subscription, so that nothing falls in between
			err = w.list()
		} else {
			err = w.follow(s)
		}
		lost = errors.Is(err, unix.ENOBUFS)
		if err != nil && !lost && ctx.Err() == nil {
			return fmt.Errorf("watch interfaces: %w", err)
		}
	}
	return nil
}

type watcher struct {
	heard func(Interface, bool)
	known map[int]Interface // by index, as last told
}

// follow tells the next change that the kernel tells.
func (w *watcher) follow(s *nl.NetlinkSocket) error {
	messages, from, err := s.Receive()
	if err != nil {
		return err
	}
	if from.Pid != nl.PidKernel {
		return nil // any process may write to the socket
	}
	for _, m := range messages {
		w.read(m)
	}
	return nil
}

// read tells what one message says. One that cannot be read is passed over: it must not end the watch over the others.
func (w *watcher) read(m syscall.NetlinkMessage) {
	of := m.Header.Type
	if of != unix.RTM_NEWLINK && of != unix.RTM_DELLINK || len(m.Data) > 0 && m.Data[0] != unix.AF_UNSPEC {
		return // as a bridge's word about its port
	}
	if i, err := parseLink(m.Data); err == nil {
		w.tell(i, of == unix.RTM_DELLINK)
	}
}

func (w *watcher) list() error {
	now, err := List()
	if err == nil {
		w.compare(now)
	}
	return err
}

// compare tells what differs from what was told; what is gone first, as its name may be that of another by now.
func (w *watcher) compare(now []Interface) {
	there := map[int]bool{}
	for _, i := range now {
		there[i.Index] = true
	}
	for index, i := range w.known {
		if !there[index] {
			w.tell(i, true)
		}
	}
	for _, i := range now {
		if last, had := w.known[i.Index]; had && last.Name != i.Name {
			w.tell(last, true)
		}
	}
	for _, i := range now {
		w.tell(i, false)
	}
}

func (w *watcher) tell(i Interface, gone bool) {
	last, had := w.known[i.Index]
	if gone {
		delete(w.known, i.Index)
	} else {
		w.known[i.Index] = i
	}
	if had && !gone && last.Name != i.Name {
		w.heard(last, true)
	}
	if had && (gone || last != i) || !had && !gone {
		w.heard(i, gone)
	}
}
