package mesh

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// TestSilentLinkIsGivenUp by its own age: neither the wall clock nor what the far end makes of our nonces has a part in it.
func TestSilentLinkIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{since: time.Now(), queue: newQueue()}
		time.Sleep(time.Minute) // of the bubble
		l.heard.Store(int64(l.age()))
		time.Sleep(deadAfter)
		if err := l.beat(); err != nil {
			t.Errorf("after %v: %v", deadAfter, err)
		}
		time.Sleep(time.Millisecond)
		if l.beat() == nil {
			t.Error("a silent link is kept")
		}
	})
}

func TestRoundTripOfForeignNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{since: time.Now(), queue: newQueue()}
		time.Sleep(time.Minute)
		ours := wire.AppendNonce(nil, uint64(l.age()))
		time.Sleep(3 * time.Millisecond)
		for _, nonce := range [][]byte{ours, wire.AppendNonce(nil, 1<<63), wire.AppendNonce(nil, uint64(2*time.Minute))} {
			if err := l.ponged(nonce); err != nil || time.Duration(l.rtt.Load()) != 3*time.Millisecond {
				t.Errorf("round trip %v, %v", time.Duration(l.rtt.Load()), err)
			}
		}
	})
}
