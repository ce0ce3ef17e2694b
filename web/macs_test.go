package web

import (
	"errors"
	"slices"
	"testing"
)

// Pages, put together, are the whole list.
func TestMACPages(t *testing.T) {
	list := func() []MAC {
		return []MAC{{MAC: "02:00:00:00:00:01", VNI: 1, Peer: "a"}, {MAC: "02:00:00:00:00:02", VNI: 1, Port: "tap0"}, {MAC: "02:00:00:00:00:01", VNI: 2, Segment: "Office"}}
	}
	var together []MAC
	for p := (MACPage{Limit: 1}); ; {
		page, err := p.page(list())
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		together = append(together, page...)
		p.After = string(rune('0'+page[0].VNI)) + "-" + page[0].MAC
	}
	if !slices.Equal(together, list()) {
		t.Errorf("%v", together)
	}
	if found, err := (MACPage{Find: "office"}).page(list()); err != nil || len(found) != 1 {
		t.Errorf("%v: %v", found, err)
	}
	for _, bad := range []string{"x", "1", "1-", "-1-2", "99999999999-02:00:00:00:00:01"} {
		if _, err := (MACPage{After: bad}).page(list()); !errors.Is(err, ErrInvalid) {
			t.Errorf("after %q: %v", bad, err)
		}
	}
}
