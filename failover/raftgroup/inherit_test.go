package raftgroup

import (
	"encoding/json"
	"testing"
	"time"
)

// TestAGroupFoundedAnewInheritsTheConfiguration: it goes on above every number that may have been given, and nothing else that it
// decided is lost.
func TestAGroupFoundedAnewInheritsTheConfiguration(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b")
	leader := all.leader(t)
	leader.decide(t, segment("lan", 7))
	before := Version{
		Number: 12, Parent: 11, Index: 400, Document: json.RawMessage(`{"x":1}`), Within: time.Minute,
		Follows: &Follows{Renew: 50 * time.Millisecond, Length: 250 * time.Millisecond, Segments: map[string]Segment{"office": {VNI: 9}}},
	}
	for range 2 { // the second time it has one
		if err := leader.Inherit(t.Context(), before, "a"); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := leader.State()
	s = all.agree(t, s.Index)
	v, ok := s.Newest()
	if !ok || v.Number != 12+skipVersions+1 || string(v.Document) != `{"x":1}` || v.Waiting() || len(s.Versions) != 2 {
		t.Errorf("versions %s", encoded(t, s))
	}
	if s.Segments["lan"].VNI != 7 || s.Segments["office"].VNI != 9 || s.Timers.Length != 250*time.Millisecond || s.Timers.Longest != 250*time.Millisecond {
		t.Errorf("decisions %s", encoded(t, s))
	}
	if _, err := s.Apply(s.Index+1, config(v.Number, `2`)); err != nil {
		t.Error(err)
	}
}
