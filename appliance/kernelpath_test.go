package appliance

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// countingEngine lets something happen while it counts.
type countingEngine struct{ meanwhile func() }

func (countingEngine) SetStormLimit(int, int) error { return nil }

func (c countingEngine) Traffic(int) (kernel.Traffic, error) {
	c.meanwhile()
	return kernel.Traffic{RxFrames: 5}, nil
}

// TestCountingBringsNoPortBack: a port that is taken out, or served anew, while its frames are counted stays so.
func TestCountingBringsNoPortBack(t *testing.T) {
	q, before, after := &port{}, &forwarder.Attached{}, &forwarder.Attached{}
	for _, c := range []struct {
		name      string
		meanwhile installed
		want      installed
		there     bool
	}{
		{"nothing happens", installed{attached: before}, installed{attached: before, counted: kernel.Traffic{RxFrames: 5}}, true},
		{"taken out", installed{}, installed{}, false},
		{"served anew", installed{attached: after}, installed{attached: after}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &kernelPath{ports: map[*port]installed{q: {attached: before}}}
			if err := p.account(q, countingEngine{func() { p.install(q, c.meanwhile) }}); err != nil {
				t.Fatal(err)
			}
			if got, there := p.ports[q]; got != c.want || there != c.there {
				t.Errorf("%+v, %v; want %+v, %v", got, there, c.want, c.there)
			}
		})
	}
}

// TestNoSegmentPortStaysAsItWasLeft: its gate was another process's, and who is not to inherit has nothing to leave.
func TestNoSegmentPortStaysAsItWasLeft(t *testing.T) {
	soon, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name  string
		port  *port
		until time.Time
	}{
		{"a segment port", &port{segment: &config.Segment{}}, soon},
		{"a guest port, after the time", &port{guest: &config.Guest{}}, before},
		{"a guest port of this process", &port{guest: &config.Guest{}}, time.Time{}},
	} {
		if p := (&kernelPath{left: inheritance{until: c.until}}); p.leaves(c.port) {
			t.Errorf("%s stays as it was", c.name)
		}
	}
}
