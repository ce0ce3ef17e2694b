package drawbridge

import (
	"errors"
	"strings"
	"testing"
)

func TestNamesAreRefusedWithTheReason(t *testing.T) {
	for _, ok := range []string{"a", "w", "node-1", "9lives", "x_y", strings.Repeat("a", 63)} {
		if err := CheckName(ok); err != nil {
			t.Errorf("CheckName(%q) = %v, want nil", ok, err)
		}
	}
	for _, bad := range []string{"", "-a", "_a", "A", "a b", "a.b", "ä", "<script>", strings.Repeat("a", 64)} {
		if err := CheckName(bad); !errors.Is(err, ErrName) {
			t.Errorf("CheckName(%q) = %v, want ErrName", bad, err)
		}
	}
}

func TestMACsRoundTrip(t *testing.T) {
	m, err := ParseMAC("02:00:5e:10:00:01")
	if err != nil || m.String() != "02:00:5e:10:00:01" || m.Group() {
		t.Fatalf("got %v, %v", m, err)
	}
	for _, bad := range []string{"", "02:00:5e:10:00", "0200.5e10.0001", "02:00:5e:10:00:zz", "02005e100001"} {
		if _, err := ParseMAC(bad); err == nil {
			t.Errorf("ParseMAC(%q) was accepted", bad)
		}
	}
	if !Broadcast.Group() {
		t.Error("the broadcast address is not a group address")
	}
}

func TestEpochsOrderByGenerationThenBallot(t *testing.T) {
	if !(MakeEpoch(1, 9) < MakeEpoch(2, 0) && MakeEpoch(2, 0) < MakeEpoch(2, 1)) {
		t.Error("epochs out of order")
	}
	if e := MakeEpoch(7, 3); e.Generation() != 7 || e.Ballot() != 3 || e.String() != "7.3" {
		t.Errorf("got %d, %d, %s", e.Generation(), e.Ballot(), e)
	}
}

func TestSegmentIDsAreNeverZero(t *testing.T) {
	if SegmentIDOf("office") == 0 || SegmentIDOf("office") == SegmentIDOf("lab") {
		t.Error("segment ids must be set and differ")
	}
}
