package access

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestOneTimeCodeBoundsGuessing(t *testing.T) {
	var shown []string
	c := NewOneTimeCode(func(code string) { shown = append(shown, code) })
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	code := c.Current(day)
	for range 10 { // a right one is no try that is spent
		if err := c.Check(code, here, day); err != nil {
			t.Fatal(err)
		}
	}
	slow := 0
	for range 8 {
		if r, ok := errors.AsType[*Refusal](c.Check("no such code", there, day)); !ok {
			t.Fatal("a wrong code was taken")
		} else if r.Kind == KindSlow {
			slow++
		}
	}
	if slow != 3 {
		t.Errorf("%d of 8 wrong tries were put off, want 3", slow)
	}
	if err := c.Check(code, there, day); err == nil {
		t.Error("whoever guessed is not kept waiting")
	}
	if err := c.Check(code, here, day.Add(codeLife+time.Second)); err == nil || len(shown) != 2 {
		t.Errorf("a code lives for ever: %v, %d shown", err, len(shown))
	}
}
