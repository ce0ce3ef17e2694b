package raftgroup

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func ipamCommand(from uint32, decided string) Command {
	c := Command{ID: "x" + decided, SetIPAM: &SetIPAM{From: from}}
	if decided != "" {
		c.SetIPAM.Decided = json.RawMessage(decided)
	}
	return c
}

// TestAddressSpaceIsDecidedOnceForEachNumber has two voters change the same decisions: the second has to look again.
func TestAddressSpaceIsDecidedOnceForEachNumber(t *testing.T) {
	s, err := newState().Apply(1, ipamCommand(0, `{"a":1}`))
	if err != nil || s.IPAM.Number != 1 {
		t.Fatalf("first: %v, %v", s.IPAM, err)
	}
	again, err := s.Apply(2, ipamCommand(0, `{"a":2}`))
	if !errors.Is(err, ErrConflict) || string(again.IPAM.Decided) != `{"a":1}` {
		t.Errorf("second of the same number: %v, %s", err, again.IPAM.Decided)
	}
	same, err := s.Apply(3, ipamCommand(7, ""))
	if err != nil || same.IPAM.Number != 1 || same.Index != 3 {
		t.Errorf("a read: %v, %v", same.IPAM, err)
	}
	for _, bad := range []string{"{", `"` + strings.Repeat("x", maxDecided) + `"`} {
		if _, err := s.Apply(4, ipamCommand(1, bad)); !errors.Is(err, ErrCommand) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

// TestARestoreKeepsAddressSpace: blocks were given under the present decisions.
func TestARestoreKeepsAddressSpace(t *testing.T) {
	old, _ := newState().Apply(1, ipamCommand(0, `{"a":1}`))
	now, _ := old.Apply(2, ipamCommand(1, `{"a":2}`))
	after, err := now.Apply(3, Command{ID: "r", Restore: &Restore{old}})
	if err != nil || after.IPAM.Number != 2 {
		t.Errorf("restored over newer decisions: %+v, %v", after.IPAM, err)
	}
	fresh, err := newState().Apply(1, Command{ID: "r", Restore: &Restore{now}})
	if err != nil || fresh.IPAM.Number != 2 {
		t.Errorf("restored into a new group: %+v, %v", fresh.IPAM, err)
	}
}
