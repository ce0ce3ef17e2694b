package handover

import "time"

// TakerState is where the taker stands.
type TakerState uint8

// States of the taker, in their order.
const (
	TakerIdle TakerState = iota
	TakerReady
	TakerOpen
	TakerSettled
	TakerDone
)

func (s TakerState) String() string {
	return [...]string{"idle", "ready", "open", "settled", "done"}[s]
}

// Taker is the part of the gateway that is to hold the lease. It belongs to one goroutine.
type Taker struct {
	State    TakerState
	Result   Result
	Reason   string
	deadline time.Duration
}

// Deadline is when Tick is due.
func (t *Taker) Deadline() time.Duration {
	if t.State == TakerIdle || t.State == TakerDone {
		return Never
	}
	return t.deadline
}

// Prepare hears PREPARE; refusal is what speaks against it.
func (t *Taker) Prepare(now time.Duration, refusal string) []Do {
	if t.State != TakerIdle {
		return nil
	}
	if refusal != "" {
		t.Reason, t.Result = refusal, Refused
		return t.to(TakerDone, Never, DoRefuse, DoClose)
	}
	return t.to(TakerReady, now+HoldFor, DoHold, DoReady)
}

// Opened hears that the own gate has opened.
func (t *Taker) Opened(now time.Duration) []Do {
	if t.State != TakerReady {
		return nil
	}
	t.Result = Moved
	return t.to(TakerOpen, now+SettleFor, DoOpen)
}

// End hears the end of a phase of what the giver sends.
func (t *Taker) End(now time.Duration, phase uint8) []Do {
	switch {
	case t.State == TakerOpen && phase == 1:
		return t.to(TakerSettled, now+TrailFor*3/2, DoRelease)
	case t.State == TakerOpen:
		return t.to(TakerDone, Never, DoRelease, DoClose)
	case t.State == TakerSettled && phase == 2:
		return t.to(TakerDone, Never, DoClose)
	}
	return nil
}

// Broken hears that the stream ended, or that the giver gave up.
func (t *Taker) Broken(reason string) []Do {
	switch t.State {
	case TakerReady:
		t.Reason, t.Result = reason, Failed
		return t.to(TakerDone, Never, DoDrop, DoClose)
	case TakerOpen:
		return t.to(TakerDone, Never, DoRelease, DoClose)
	case TakerIdle, TakerSettled:
		return t.to(TakerDone, Never, DoClose)
	}
	return nil
}

// Tick does what the clock demands.
func (t *Taker) Tick(now time.Duration) []Do {
	if t.State == TakerIdle || t.State == TakerDone || now < t.deadline {
		return nil
	}
	switch t.State {
	case TakerReady:
		t.Reason, t.Result = "the lease did not come in time", Failed
		return t.to(TakerDone, Never, DoDrop, DoAbort, DoClose)
	case TakerOpen:
		return t.to(TakerSettled, now+TrailFor*3/2, DoRelease)
	}
	return t.to(TakerDone, Never, DoClose)
}

func (t *Taker) to(s TakerState, deadline time.Duration, do ...Do) []Do {
	t.State, t.deadline = s, deadline
	return do
}
