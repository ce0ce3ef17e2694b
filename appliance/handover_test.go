package appliance

import (
	"net"
	"testing"

	"github.com/drawbridge-net/drawbridge/failover/handover"
)

// TestARefusalIsSaid: a gateway that will not take a segment keeps nothing that would have to be ended; it says so and goes on.
func TestARefusalIsSaid(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	taker := &taking{talk: newTalk(near)}
	go taker.talk.write()
	taker.carry(taker.machine.Prepare(0, "no carrier"))
	heard := make(chan handover.Message, 1)
	giver := newTalk(far)
	giver.read(t.Context(), func(m *handover.Message) bool {
		heard <- *m
		return true
	})
	if m := <-heard; m.Kind != handover.Refuse || m.Text != "no carrier" {
		t.Errorf("%+v", m)
	}
}

// TestAGiverThatEndsAtOnce: what PREPARE has begun is ended although the stream has ended by then, or the segment would be
// one that is being moved for good.
func TestAGiverThatEndsAtOnce(t *testing.T) {
	for range 100 {
		taker := &taking{talk: &talk{ended: make(chan struct{})}, prepared: make(chan struct{})}
		close(taker.prepared)
		close(taker.talk.ended)
		if !taker.begun(t.Context()) {
			t.Fatal("a move that has begun is forgotten")
		}
	}
}
