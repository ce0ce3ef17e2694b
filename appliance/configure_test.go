package appliance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/drawbridge-net/drawbridge/appliance/acks"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/web"
)

// TestTimersFollowTheLease: the document takes exactly those timers that the lease can use.
func TestTimersFollowTheLease(t *testing.T) {
	for _, renew := range []time.Duration{0, 999 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 1500 * time.Millisecond, 4 * time.Second, -time.Second} {
		for _, term := range []time.Duration{-1, 0, 3 * renew, 3*renew + time.Millisecond, 3*renew*1000000/995000 + time.Millisecond, 3*renew*1000000/995000 + 1006*time.Microsecond, 3*renew + 50*time.Millisecond, 5 * time.Second, 10 * time.Second, 10*time.Second + 1, 40*time.Millisecond + 1} {
			timing := lease.Default
			timing.Renew, timing.Term, timing.Step = renew, term, renew/2
			d := netconfig.Default()
			d.Timers = netconfig.Timers{Profile: netconfig.ProfileCustom, Renew: netconfig.Duration(renew), Term: netconfig.Duration(term)}
			if lent, said := timing.Validate(), d.Check(); (lent == nil) != (said == nil) {
				t.Errorf("renew %v, term %v: the lease says %v, the document %v", renew, term, lent, said)
			}
		}
	}
	for profile, want := range map[string]lease.Timing{"default": lease.Default, "fast": lease.Fast, "wan": lease.Wide} {
		d, err := netconfig.Parse("", []byte("timers.profile = \""+profile+"\""))
		if err != nil || time.Duration(d.Timers.Renew) != want.Renew || time.Duration(d.Timers.Term) != want.Term {
			t.Errorf("profile %s is %+v, want %v and %v: %v", profile, d.Timers, want.Renew, want.Term, err)
		}
	}
}

// opened is a copy of the configuration of a peer that takes a document when fits does.
func opened(t *testing.T, dir string, fits func(netconfig.Document) error) *networkConfig {
	t.Helper()
	c, err := openNetworkConfig(dir, fits, acks.New(7, func([]byte) {}, func() {}), func() {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func versionNumber(n uint64, document string) raftgroup.Version {
	return raftgroup.Version{Number: n, Document: []byte(document)}
}

func TestTheLastGoodVersionStays(t *testing.T) {
	dir := t.TempDir()
	var refuse error
	fits := func(netconfig.Document) error { return refuse }
	c := opened(t, dir, fits)
	c.take(versionNumber(3, `{"timers":{"profile":"wan"}}`))
	c.take(versionNumber(2, `{"timers":{"profile":"fast"}}`)) // late
	if c.inForce().Timers.Profile != "wan" {
		t.Errorf("an older version came into force: %+v", c.inForce())
	}
	c.take(versionNumber(4, `{"format":9,"moon":true}`))
	known, applied, problem := c.standing()
	if known != 4 || applied != 3 || !strings.Contains(problem, "moon") || !strings.Contains(problem, "update this peer") || c.inForce().Timers.Profile != "wan" {
		t.Errorf("known %d, applied %d: %s", known, applied, problem)
	}
	refuse = errors.New("segment[1].overlay: does not fit")
	c.take(versionNumber(5, `{}`))
	if one := c.acks.Of(7); one.Known != 5 || one.Applied != 3 || one.Problem != refuse.Error() {
		t.Errorf("the peer says %+v", one)
	}
	refuse = nil
	again := opened(t, dir, fits)
	if known, applied, _ := again.standing(); known != 3 || applied != 3 || again.inForce().Timers.Profile != "wan" {
		t.Errorf("after a restart: known %d, applied %d", known, applied)
	}
	again.take(versionNumber(6, `{}`))
	if _, applied, _ := again.standing(); applied != 6 {
		t.Errorf("applied %d", applied)
	}
	if err := os.WriteFile(filepath.Join(dir, goodConfig), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openNetworkConfig(dir, fits, acks.New(7, func([]byte) {}, func() {}), func() {}); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a damaged file: %v", err)
	}
}

// TestWhatIsThereSoonIsWaitedFor, and what is not, no longer than was said.
func TestWhatIsThereSoonIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		there := func() bool { return time.Since(began) >= 3*lookSoon }
		if !soon(t.Context(), awaitReach, there) || time.Since(began) != 3*lookSoon {
			t.Errorf("not there after %v", time.Since(began))
		}
		began = time.Now()
		if soon(t.Context(), 2*lookSoon, there) || time.Since(began) != 2*lookSoon {
			t.Errorf("there after %v", time.Since(began))
		}
	})
}

func TestErrorsSurviveTheWay(t *testing.T) {
	for _, err := range []error{
		repliedError{"changed", web.ErrStale},
		decision(fmt.Errorf("x: %w", raftgroup.ErrConflict)), decision(raftgroup.ErrUnknown), decision(raftgroup.ErrNoLeader),
		fmt.Errorf("%w: no", web.ErrInvalid), errors.New("other"),
	} {
		r := replyOf(configReply{}, err)
		back := r.err()
		if back.Error() != err.Error() {
			t.Errorf("%v came back as %v", err, back)
		}
		for _, condition := range configKinds {
			if errors.Is(err, condition) != errors.Is(back, condition) {
				t.Errorf("%v came back without its condition", err)
			}
		}
	}
	_, err := parsed("[[overlay]]\nname = 3\n")
	var invalid web.InvalidConfig
	if back := replyOf(configReply{}, err).err(); !errors.As(back, &invalid) || len(invalid) < 2 || invalid[0].Line == 0 || !errors.Is(back, web.ErrInvalid) {
		t.Errorf("%v came back as %v", err, back)
	}
}

func TestOneKeyIsOneChange(t *testing.T) {
	p := web.ConfigProposal{By: "ann", Key: "k"}
	state := raftgroup.State{Versions: []raftgroup.Version{{Number: 1, Request: request(p), Document: []byte(`{"a":"\u003cb"}`)}}}
	if r, done, err := asked(&state, p, []byte(`{"a":"<b"}`)); !done || err != nil || r.Version.Number != 1 {
		t.Errorf("the same again: %v, %v", done, err)
	}
	if _, done, err := asked(&state, p, []byte(`{}`)); !done || !errors.Is(err, web.ErrInvalid) {
		t.Errorf("another change: %v, %v", done, err)
	}
	p.By = "bob"
	if _, done, err := asked(&state, p, []byte(`{}`)); done || err != nil {
		t.Errorf("the same key of somebody else: %v, %v", done, err)
	}
}

// A user who came after the version that is put back stays; what else it says comes back (ADR 0020).
func TestARollBackKeepsTheUsers(t *testing.T) {
	first := versionNumber(1, `{"format":1,"timers":{"profile":"wan"},"users":{"version":1,"users":[{"name":"alice"}]}}`)
	last := versionNumber(2, `{"format":1,"timers":{"profile":"fast"},"users":{"version":2,"users":[{"name":"alice"},{"name":"bob"}]}}`)
	state := raftgroup.State{Versions: []raftgroup.Version{first, last}}
	c, err := goBack(&state, web.ConfigProposal{To: 1, Comment: strings.Repeat("ä", 128)}, 2)
	if err != nil || c.PutConfig == nil {
		t.Fatalf("%+v: %v", c, err)
	}
	d, err := netconfig.Read(c.PutConfig.Document)
	if err != nil || d.Timers.Profile != "wan" || !strings.Contains(string(d.Users), "bob") {
		t.Errorf("%v: timers %s, users %s", err, d.Timers.Profile, d.Users)
	}
	if said := c.PutConfig.Comment; !strings.HasPrefix(said, "the same as version 1, users as they are; ää") || len(said) > raftgroup.MaxText || !utf8.ValidString(said) {
		t.Errorf("the comment is %q", said)
	}
	if c, err := goBack(&state, web.ConfigProposal{To: 2}, 2); c.RollbackConfig == nil || err != nil {
		t.Errorf("the same users make another document: %+v: %v", c, err)
	}
}

// A roll back that nobody confirms is taken back like any other change. One that would take the place of a version that waits
// itself is refused: unconfirmed, it would bring that one back.
func TestARollBackGoesUnlessItIsConfirmed(t *testing.T) {
	state := raftgroup.State{}
	decide := func(c raftgroup.Command) error {
		t.Helper()
		next, err := state.Apply(state.Index+1, c)
		state = next
		return err
	}
	put := func(base uint64, profile string, within time.Duration) {
		t.Helper()
		text := []byte(`{"timers":{"profile":"` + profile + `"}}`)
		d, err := netconfig.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := decide(raftgroup.Command{PutConfig: &raftgroup.PutConfig{Base: base, Document: text, Within: within, Follows: follows(d)}}); err != nil {
			t.Fatal(err)
		}
	}
	back := func(base uint64) error {
		t.Helper()
		c, err := goBack(&state, web.ConfigProposal{To: 1, Within: time.Minute, Comment: "the uplink is down"}, base)
		if err != nil {
			t.Fatal(err)
		}
		return decide(c)
	}
	put(0, "wan", 0)
	put(1, "fast", 0)
	if err := back(2); err != nil {
		t.Fatal(err)
	}
	if v, _ := state.Newest(); v.Number != 3 || v.Within != time.Minute || !v.Waiting() || v.Comment != "the same as version 1; the uplink is down" || state.Timers.Length != lease.Wide.Term {
		t.Errorf("went back to %+v with leases of %v", v, state.Timers.Length)
	}
	if err := decide(raftgroup.Command{RevertConfig: &raftgroup.RevertConfig{Version: 3, Length: lease.Fast.Term}}); err != nil || state.Timers.Length != lease.Fast.Term {
		t.Errorf("unconfirmed: %v; leases of %v", err, state.Timers.Length)
	}
	put(4, "wan", time.Minute)
	if err := back(5); !errors.Is(err, raftgroup.ErrConflict) || !strings.Contains(err.Error(), "version 5 by somebody waits to be confirmed") {
		t.Errorf("going back from what waits, to be confirmed: %v", err)
	}
}
