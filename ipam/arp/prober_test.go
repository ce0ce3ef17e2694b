package arp

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func TestProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Prober
		sent := 0
		p = NewProber(own, Quick, func(f drawbridge.Frame) {
			sent++
			p.Hear(f) // comes back
			if s, _ := Parse(f); s.Addr == six {
				p.Hear(AnswerFrame(s, bob))
			}
		})
		began := time.Now()
		if v, err := p.Ask(t.Context(), four); err != nil || v.State != Free || sent != 3 || time.Since(began) > 600*time.Millisecond || time.Since(began) < 500*time.Millisecond {
			t.Errorf("%+v %v after %d probes, %s", v, err, sent, time.Since(began))
		}
		if v, err := p.Ask(t.Context(), six); err != nil || v != (Verdict{Taken, bob, false}) {
			t.Errorf("%+v %v", v, err)
		}
		if v, err := p.Ask(t.Context(), six, bob); err != nil || v.State != Free {
			t.Errorf("the guest's own use: %+v %v", v, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Ask(ctx, four); !errors.Is(err, context.DeadlineExceeded) || len(p.open) != 0 || p.asked.Load() != 0 {
			t.Errorf("%v, %d questions left open", err, len(p.open))
		}
	})
}

// TestProbersMeet: two that probe for one address at once both learn of the other (RFC 5227 §2.1.1).
func TestProbersMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b *Prober
		a = NewProber(alice, Quick, func(f drawbridge.Frame) { b.Hear(f) })
		b = NewProber(bob, Quick, func(f drawbridge.Frame) { a.Hear(f) })
		var wait sync.WaitGroup
		var verdicts [2]Verdict
		for i, p := range []*Prober{a, b} {
			wait.Go(func() { verdicts[i], _ = p.Ask(t.Context(), six) })
		}
		wait.Wait()
		taken := 0
		for _, v := range verdicts {
			if v.State == Taken && v.Rival {
				taken++
			}
		}
		if taken == 0 {
			t.Errorf("both think it free: %+v", verdicts)
		}
	})
}
