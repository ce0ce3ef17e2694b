package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// busyBefore is how long before a request that was lost the machine may have been busy for that to be the reason: a round trip
// of a request waits for several threads, one after the other.
const busyBefore = 50 * time.Millisecond

// rollLimit bounds a rolling update of a pair.
const rollLimit = 90 * time.Second

// wellLimit bounds the wait for a gateway to be ready: one that a busy machine cost three leases is damped for two minutes
// (docs/protocol/handover.md, "Readiness").
const wellLimit = 4 * time.Minute

// TestRollingUpdateLosesNothing updates both gateways one after the other, coordinated by a witness and by a gateway, which
// starts itself again on the way, while a guest asks a host on the VLAN.
func TestRollingUpdateLosesNothing(t *testing.T) {
	b := up(t, named(t, "rolling"))
	e := b.excuses(t)
	for _, coordinator := range []string{"w", "a"} {
		b.bothWell(t)
		s := b.throughout(t, "x1", "host1", func() error {
			r, err := b.api(coordinator).StartRollout(within(t, reachLimit), web.RolloutRequest{By: "test"})
			if err != nil {
				return err
			}
			eventually(t, rollLimit, "the roll-out is over", func() bool {
				now, err := b.api(coordinator).Rollout(within(t, reachLimit))
				if err == nil && now.ID == r.ID { // it does not answer while it starts again
					r = now
				}
				return r.State != "running"
			})
			if r.State != "done" {
				t.Errorf("coordinated by %s: %s: %s", coordinator, r.State, r.Reason)
			}
			return nil
		})
		lossless(t, "coordinated by "+coordinator, s, e)
		for _, at := range s.Lost {
			t.Logf("a request of %s was not answered; what happened around it:\n%s", at.Format("15:04:05.000000"), e.j.around(at, time.Second))
		}
	}
}

// TestWithTheVersionBefore lets a gateway run older software on the state that today's wrote: it must find into the mesh
// and among the voters, and the segment must move both ways without loss; then it is updated.
func TestWithTheVersionBefore(t *testing.T) {
	b := up(t, named(t, "versions"))
	e := b.excuses(t)
	old := olderProgram(t)
	must(t, lab.Stop(b.Name, "a"))
	must(t, lab.StartWith(t.Context(), b.Name, "a", old))
	for range 2 {
		b.bothWell(t)
		from, to := b.gateways(t)
		s := b.throughout(t, "x1", "host1", func() error {
			_, err := b.api("w").Switchover(within(t, reachLimit), "office", web.SwitchoverRequest{To: to, By: "test"})
			eventually(t, reachLimit, to+" is active", func() bool { return b.active(t, "w") == to })
			return err
		})
		lossless(t, "from "+from+" to "+to, s, e)
	}
	must(t, lab.Stop(b.Name, "a"))
	must(t, lab.StartWith(t.Context(), b.Name, "a", binary))
	b.bothWell(t)
}

// throughout asks one host from another all the time while something happens, and for a second after it.
func (b *bed) throughout(t *testing.T, from, to string, happens func() error) (s netlab.Stream) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan error, 1)
	go func() {
		var err error
		s, err = probe.Stream(ctx, b.host(from), b.host(to).Addrs[0], 2*time.Millisecond)
		asked <- err
	}()
	must(t, happens()) // here, as it may end the test
	<-time.After(time.Second)
	cancel()
	must(t, <-asked)
	t.Logf("%s to %s: %d of %d answered, outage %v", from, to, s.Answered, s.Sent, s.Outage)
	return s
}

// excuses are the reasons for a loss that lie in the machine that the test runs on.
type excuses struct {
	j    *journals
	busy *netlab.Stalls // of the threads that carry frames
	halt *netlab.Stalls // of lease agents
}

func (b *bed) excuses(t *testing.T) excuses {
	return excuses{j: b.follow(t), busy: watchBusy(t), halt: watchStalls(t)}
}

// of is why a request of that time was lost, empty without an excuse: a move that stands still for longer than frames are
// kept costs frames, whenever in its outage it stood, and so does a thread that has a datagram of the gateway that gives
// when those of the one that takes have arrived. A lease that ended while the machine stood still costs what comes until
// there is another.
func (e excuses) of(at time.Time, outage time.Duration, all []happening) string {
	before := busyBefore
	if outage >= handover.HoldFor {
		before = outage
	}
	if stalls := e.busy.Between(at.Add(-before), at); len(stalls) > 0 {
		return fmt.Sprint(stalls[0])
	}
	for _, v := range vacancies(all) {
		if why := v.lapse.beside(e.halt); len(why) > 0 && v.covers(at) {
			return fmt.Sprintf("%v, beside %v", v.lapse, why[0])
		}
	}
	return ""
}

// lossless fails when something was doubled, or lost without an excuse. Excuses are told.
func lossless(t *testing.T, what string, s netlab.Stream, e excuses) {
	t.Helper()
	if s.Doubled != 0 {
		t.Errorf("%s: %d of %d doubled", what, s.Doubled, s.Sent)
	}
	all := e.j.settled()
	for _, at := range s.Lost {
		when := at.Format("15:04:05.000")
		if why := e.of(at, s.Outage, all); why != "" {
			t.Logf("%s: a request of %s was not answered: %s", what, when, why)
		} else {
			t.Errorf("%s: a request of %s was not answered although the machine ran; outage %v", what, when, s.Outage)
		}
	}
}

func (b *bed) bothWell(t *testing.T) {
	t.Helper()
	var o web.Operation
	var err error
	defer func() {
		if t.Failed() {
			t.Logf("the other gateway: %v, %s: %s %+v", err, o.State, o.Outcome, o.Checks)
		}
	}()
	eventually(t, wellLimit, "one gateway is active and the other ready", func() bool {
		from, to := b.gateways(t)
		o, err = b.api(from).Switchover(within(t, reachLimit), "office", web.SwitchoverRequest{To: to, DryRun: true, By: "test"})
		return err == nil && o.State == "done"
	})
}

// named is the default topology under another name, so that its lab disturbs no other.
func named(t *testing.T, name string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	text, err := exec.Command(binary, "lab", "topology", "default").Output()
	must(t, err)
	path := filepath.Join(t.TempDir(), name+".toml")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// back is how many commits before this one the older program is of, where there is no tag.
const back = "50"

// olderProgram is that of the last tag, or of some commits before. DRAWBRIDGE_OLD_BIN names another.
func olderProgram(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DRAWBRIDGE_OLD_BIN"); path != "" {
		return path
	}
	commit := "HEAD~" + back
	if tag, err := exec.Command("git", "describe", "--tags", "--abbrev=0", "HEAD~1").Output(); err == nil {
		commit = strings.TrimSpace(string(tag))
	}
	dir := t.TempDir()
	tree := exec.Command("git", "-C", "../..", "archive", commit)
	text, err := tree.Output()
	if err != nil {
		t.Skipf("needs the history of the repository: git archive %s: %v", commit, err)
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(text)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	build := exec.Command("go", "build", "-tags", "nomsgpack", "-ldflags", "-X main.version=older", "-o", filepath.Join(dir, "older"), "./cmd/drawbridge")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build of %s: %v\n%s", commit, err, out)
	}
	return filepath.Join(dir, "older")
}
