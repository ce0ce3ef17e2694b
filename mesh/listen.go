package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// open listens on all addresses, or on none.
func (r *Router) open() (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	for _, addr := range r.config.Listen {
		l, err := r.config.ListenFunc("tcp", addr)
		if err != nil {
			return listeners, fmt.Errorf("listen for peers: %w", err)
		}
		listeners = append(listeners, l)
		if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			r.listens = append(r.listens, a)
		}
	}
	return listeners, nil
}

func (r *Router) accept(ctx context.Context, l net.Listener) {
	for {
		raw, err := l.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				raw.Close()
			}
			return
		case err != nil:
			r.log.Warn("accept a connection", "err", err) // out of descriptors, usually
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			r.enter(ctx, raw)
		}
	}
}

// enter gives a caller a goroutine, if too many others are not at the door already.
func (r *Router) enter(ctx context.Context, raw net.Conn) {
	if !r.door.enter(raw.RemoteAddr()) {
		r.drop("caller: too many at once")
		raw.Close()
		return
	}
	r.all.Go(func() {
		defer r.door.leave(raw.RemoteAddr())
		if err := r.answer(ctx, raw); err != nil && !errors.Is(err, errDuplicate) && ctx.Err() == nil {
			r.warn("caller: refused", "a caller was refused", "remote", raw.RemoteAddr(), "err", err)
		}
	})
}

func (r *Router) admit(ctx context.Context, conn *tls.Conn) error {
	admitted, err := r.admission.Admit(ctx, conn)
	if err == nil {
		r.journal.tell("join", admitted.Name, "was admitted to the network")
	}
	return err
}
