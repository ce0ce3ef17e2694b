package appliance

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// TestNewsWaitForFrames of the same segment, while they are held and no longer, and not for a move that hangs.
func TestNewsWaitForFrames(t *testing.T) {
	const segment, other = 1, 2
	waits := func(t *testing.T, do func(*moves)) time.Duration {
		var took time.Duration
		synctest.Test(t, func(t *testing.T) {
			var m moves
			began := time.Now()
			do(&m)
			m.passed(t.Context(), segment)
			took = time.Since(began)
		})
		return took
	}
	later := func(do func()) { time.AfterFunc(3*time.Millisecond, do) }
	for name, c := range map[string]struct {
		do   func(*moves)
		want time.Duration
	}{
		"no move":            {func(*moves) {}, 0},
		"another segment's":  {func(m *moves) { m.hold(other) }, 0},
		"held":               {func(m *moves) { m.hold(segment); later(func() { m.pass(segment) }) }, 3 * time.Millisecond},
		"told twice":         {func(m *moves) { m.hold(segment); m.hold(segment); later(func() { m.pass(segment); m.pass(segment) }) }, 3 * time.Millisecond},
		"passed before":      {func(m *moves) { m.hold(segment); m.pass(segment) }, 0},
		"the giver gives up": {func(m *moves) { m.hold(segment); later(func() { m.endGiving(segment) }) }, 3 * time.Millisecond},
		"the taker gives up": {func(m *moves) { m.hold(segment); later(func() { m.endTaking(segment) }) }, 3 * time.Millisecond},
		"it hangs":           {func(m *moves) { m.hold(segment) }, tellWithin},
	} {
		t.Run(name, func(t *testing.T) {
			if took := waits(t, c.do); took != c.want {
				t.Errorf("waited for %v, want %v", took, c.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		var m moves
		m.hold(segment)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		if m.passed(ctx, segment); time.Since(began) != 0 {
			t.Error("a daemon that stops waits for frames")
		}
	})
}

// TestOneMoveOfASegment at a time; the thread that hears of the lease finds the one that takes.
func TestOneMoveOfASegment(t *testing.T) {
	var m moves
	var told []uint64
	if !m.startTaking(1, func(e drawbridge.Epoch) { told = append(told, uint64(e)) }) {
		t.Fatal("refused")
	}
	if m.startTaking(1, func(drawbridge.Epoch) {}) || m.startGiving(1) {
		t.Error("a second move of the segment began")
	}
	m.opened(2, 7)
	m.opened(1, 8)
	m.endTaking(1)
	m.opened(1, 9)
	if len(told) != 1 || told[0] != 8 {
		t.Errorf("the move was told of tenures %v, want 8", told)
	}
	if !m.startGiving(1) {
		t.Error("the segment is taken after the move has ended")
	}
}
