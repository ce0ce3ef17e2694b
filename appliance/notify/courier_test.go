package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a Driver that answers as a test says and notes what it took, and when.
type sink struct {
	answer func(m *Message, attempt int) error

	mu       sync.Mutex
	attempts int
	took     []string
	closed   bool
}

func (s *sink) Tell(ctx context.Context, m *Message) error {
	s.mu.Lock()
	s.attempts++
	n := s.attempts
	s.mu.Unlock()
	if err := s.answer(m, n); err != nil {
		if errors.Is(err, errHang) {
			<-ctx.Done()
			return ctx.Err()
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, fmt.Sprintf("%d:%s", m.Sequence, m.Event.Kind))
	return nil
}

func (s *sink) Close() error { s.closed = true; return nil }

var errHang = errors.New("hang")

// run runs a courier over a queue of n events until it is empty, and returns how long that took.
func run(t *testing.T, s *sink, n int) (*Courier, time.Duration) {
	t.Helper()
	spool, _, _ := OpenSpool(&memory{fail: -1}, 100)
	c := NewCourier(s, spool, func(i Item) *Message { return &Message{Sequence: i.Sequence, Lost: i.Lost, Event: i.Event} }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	began := time.Now()
	for i := range n {
		spool.Add(event(i + 1))
	}
	for spool.Counts().Waiting > 0 {
		synctest.Wait()
		<-time.After(min(100*time.Millisecond+time.Since(began)/100, 5*time.Second)) // of the bubble
	}
	took := time.Since(began)
	cancel()
	if err := <-ended; err != nil || !s.closed {
		t.Errorf("ended with %v, driver closed: %v", err, s.closed)
	}
	return c, took
}

func TestOrderHoldsWhileASinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{answer: func(_ *Message, n int) error {
			if n%3 != 0 {
				return errors.New("500")
			}
			return nil
		}}
		c, _ := run(t, s, 5)
		if want := []string{"1:x", "2:x", "3:x", "4:x", "5:x"}; !slices.Equal(s.took, want) {
			t.Errorf("took %v", s.took)
		}
		if st := c.State(); st.Err != nil || st.Failures != 0 || st.Failed != 10 {
			t.Errorf("%+v", st)
		}
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		s := &sink{answer: func(_ *Message, n int) error {
			at = append(at, time.Since(began).Truncate(time.Second))
			if time.Since(began) < 2*time.Hour {
				return errors.New("connection refused")
			}
			return nil
		}}
		_, took := run(t, s, 1)
		if len(at) > 40 || at[1] < time.Second || at[2]-at[1] < 2*time.Second || at[1] > 2*time.Second {
			t.Errorf("%d attempts: %v", len(at), at)
		}
		if took > 2*time.Hour+retryLast+retryLast/5+5*time.Second {
			t.Errorf("noticed only after %s that it is back", took)
		}
	})
}

func TestASinkThatHangsIsLeftAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{answer: func(_ *Message, n int) error {
			if n == 1 {
				return errHang
			}
			return nil
		}}
		if _, took := run(t, s, 2); took < tellFor || took > tellFor+3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestARefusedMessageLetsTheNextOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{answer: func(m *Message, _ int) error {
			if m.Sequence == 2 && m.Lost == 0 {
				return fmt.Errorf("%w: answered 422", ErrRefused)
			}
			return nil
		}}
		run(t, s, 3)
		if want := []string{"1:x", "2:alerts_dropped", "3:x"}; !slices.Equal(s.took, want) {
			t.Errorf("took %v", s.took)
		}
	})
}

func TestANightWithoutASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &sink{answer: func(*Message, int) error {
			if time.Since(began) < giveUpAfter+time.Hour {
				return errors.New("no route")
			}
			return nil
		}}
		run(t, s, 3)
		if want := []string{"1:alerts_dropped", "2:x", "3:x"}; !slices.Equal(s.took, want) {
			t.Errorf("took %v", s.took)
		}
	})
}

func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mended := false
		s := &sink{answer: func(*Message, int) error {
			if !mended {
				return &laterError{errors.New("503"), time.Hour}
			}
			return nil
		}}
		spool, _, _ := OpenSpool(&memory{fail: -1}, 10)
		c := NewCourier(s, spool, func(i Item) *Message { return &Message{Event: i.Event} }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		spool.Add(event(1))
		synctest.Wait()
		if next := time.Until(c.State().Next); next != retryLast {
			t.Errorf("asked to wait an hour, waits %s", next)
		}
		mended = true
		c.Hurry()
		synctest.Wait()
		if spool.Counts().Waiting != 0 {
			t.Error("it still waits")
		}
		cancel()
		<-ended
	})
}
