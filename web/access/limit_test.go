package access

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	home     = netip.MustParseAddr("192.0.2.7")
	stranger = netip.MustParseAddr("198.51.100.66")
)

func TestAddressIsLimited(t *testing.T) {
	l, now := newLimiter(), day
	for i := range perAddress.burst {
		if w := l.take("ann", stranger, now); w != 0 {
			t.Fatalf("try %d waits %s", i, w)
		}
	}
	if w := l.take("bob", stranger, now); w != perAddress.refill {
		t.Errorf("another account at once: waits %s", w)
	}
	if w := l.take("ann", stranger, now.Add(perAddress.refill)); w != 0 {
		t.Errorf("after the wait: waits %s", w)
	}
}

// A day of failures from one address never keeps the admin out at another one.
func TestStrangerCannotLockOut(t *testing.T) {
	l, now, tries := newLimiter(), day, 0
	for ; now.Before(day.Add(24 * time.Hour)); now = now.Add(time.Second) {
		if l.take("ann", stranger, now) == 0 {
			tries++
		}
		if now.Unix()%600 == 0 {
			if w := l.take("ann", home, now); w != 0 {
				t.Fatalf("the admin waits %s", w)
			}
			l.right("ann", home, now)
		}
	}
	if most := perAddress.burst + 24*60; tries > most {
		t.Errorf("%d tries a day, want at most %d", tries, most)
	}
}

// Thousands of addresses get no more tries than one account allows, and do not bother known places.
func TestManyStrangersShareAnAccount(t *testing.T) {
	l, now, tries := newLimiter(), day, 0
	l.take("ann", home, now)
	l.right("ann", home, now)
	for i := range uint32(36000) {
		now = now.Add(100 * time.Millisecond)
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 0x0a000000+i%5000)
		if l.take("ann", netip.AddrFrom4(ip), now) == 0 {
			tries++
		}
	}
	if most := perAccount.burst + 12*60 + 1; tries > most {
		t.Errorf("%d tries an hour, want at most %d", tries, most)
	}
	if w := l.take("ann", home, now); w != 0 {
		t.Errorf("a known place waits %s", w)
	}
	if w := l.take("ann", netip.MustParseAddr("203.0.113.9"), now); w > perAccount.refill {
		t.Errorf("a new place waits %s", w)
	}
}

func TestRightTriesAreFree(t *testing.T) {
	l := newLimiter()
	for i := range 1000 {
		if w := l.take("ann", home, day); w != 0 {
			t.Fatalf("log in %d waits %s", i, w)
		}
		l.right("ann", home, day)
	}
}

func TestNetworks(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s: %s", a, got)
		}
	}
	network(netip.Addr{}) // does not panic
}

// Whatever the order of tries: memory is bounded, and no wait is longer than one refill.
func TestLimiterIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := newLimiter(), day
		for range rapid.IntRange(1, 60).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			account := rapid.SampledFrom([]string{"ann", "bob", ""}).Draw(t, "account")
			from := netip.AddrFrom4([4]byte{10, 0, 0, rapid.ByteRange(0, 3).Draw(t, "from")})
			w := l.take(account, from, now)
			if w > max(perAddress.refill, perAccount.refill) || w < 0 {
				t.Fatalf("waits %s", w)
			}
			if w == 0 && rapid.Bool().Draw(t, "right") {
				l.right(account, from, now)
			}
		}
	})
	m := map[int]time.Time{}
	for i := range maxBuckets + 500 {
		put(m, i, day.Add(time.Duration(i%2)*time.Hour-time.Minute), day)
	}
	if len(m) > maxBuckets {
		t.Errorf("%d buckets", len(m))
	}
}
