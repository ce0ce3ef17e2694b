package hostnet

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Watch calls heard for every interface there is and then at every change, until ctx ends. gone means that the
// interface was removed; i is then how it last stood. A change is told once, repetitions of the kernel are left out.
// heard runs on the calling goroutine and may take its time: when so many messages pile up that the kernel drops some
// (ENOBUFS), Watch starts over and tells what is different.
func Watch(ctx context.Context, heard func(i Interface, gone bool)) error {
	w := watcher{heard: heard, known: map[int]Interface{}}
	for ctx.Err() == nil {
		if err := w.listen(ctx); err != nil {
			return fmt.Errorf("watch interfaces: %w", err)
		}
	}
	return nil
}

type watcher struct {
	heard func(Interface, bool)
	known map[int]Interface // by index, as last told
}

// listen follows one subscription to its end; nil: ctx ended, or messages were lost.
func (w *watcher) listen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	updates := make(chan netlink.LinkUpdate)
	if err := netlink.LinkSubscribe(updates, ctx.Done()); err != nil {
		cancel()
		return err
	}
	defer func() {
		cancel()
		for range updates { // until the library has closed it
		}
	}()
	if err := w.compare(); err != nil { // after the subscription, so that nothing falls in between
		return err
	}
	for u := range updates {
		if u.Family != unix.AF_UNSPEC {
			continue // a bridge's word about its port
		}
		w.tell(describe(u.Link), u.Header.Type == unix.RTM_DELLINK)
	}
	return nil
}

// compare tells what differs from what was told.
func (w *watcher) compare() error {
	now, err := List()
	if err != nil {
		return err
	}
	there := map[int]bool{}
	for _, i := range now {
		there[i.Index] = true
		w.tell(i, false)
	}
	for index, i := range w.known {
		if !there[index] {
			w.tell(i, true)
		}
	}
	return nil
}

func (w *watcher) tell(i Interface, gone bool) {
	last, had := w.known[i.Index]
	if gone {
		delete(w.known, i.Index)
	} else {
		w.known[i.Index] = i
	}
	if had && (gone || last != i) || !had && !gone {
		w.heard(i, gone)
	}
}
