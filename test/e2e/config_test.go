package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// limited is a configuration of the default lab that says how much a port may flood: a number to tell versions by.
func limited(storm int) string {
	return fmt.Sprintf("[[overlay]]\nname = \"main\"\nvni = 1\nstorm_limit = %d\n\n[[segment]]\nname = \"office\"\noverlay = \"main\"\n", storm)
}

// TestAFrozenPeerIsNamed: the barrier of a change waits for the peers that live, names the one that does not answer, and is
// passed when that one has caught up.
func TestAFrozenPeerIsNamed(t *testing.T) {
	b := up(t, "default")
	eventually(t, reachLimit, "the configuration is changed", func() bool {
		_, err := b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: limited(1000)})
		return err == nil
	})
	must(t, lab.Freeze(b.Name, "z"))
	v, err := b.api("y").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: limited(1001)})
	must(t, err)
	applied, err := b.api("w").ConfigApplied(within(t, reachLimit), v.Version, 3*time.Second)
	must(t, err)
	var waited []string
	for _, p := range applied.Peers {
		if p.State != web.AppliedYes {
			waited = append(waited, p.Peer)
		}
	}
	if applied.Complete || len(waited) != 1 || waited[0] != "z" {
		t.Errorf("with z frozen: complete %v, waits for %v, want z alone", applied.Complete, waited)
	}
	must(t, lab.Thaw(b.Name, "z"))
	eventually(t, reachLimit, "z has caught up", func() bool {
		applied, err := b.api("w").ConfigApplied(within(t, reachLimit), v.Version, 5*time.Second)
		return err == nil && applied.Complete
	})
	here, err := b.api("z").Config(within(t, reachLimit), 0)
	must(t, err)
	if here.Version != v.Version || !bytes.Contains(here.Document, []byte("1001")) {
		t.Errorf("z goes by version %d: %s", here.Version, here.Document)
	}
}

// TestAnUnconfirmedRollBackEndsEverywhere: asked of a peer that does not vote, it is in force on all of them, and when nobody
// has confirmed it, on none.
func TestAnUnconfirmedRollBackEndsEverywhere(t *testing.T) {
	b := up(t, "default")
	var first web.ConfigVersion
	var err error
	eventually(t, reachLimit, "the configuration is changed", func() bool {
		first, err = b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: limited(1000)})
		return err == nil
	})
	_, err = b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: limited(1001)})
	must(t, err)
	back, err := b.api("y").RollbackConfig(within(t, reachLimit), "*", "", web.ConfigRollback{To: first.Version, ConfirmS: 5})
	must(t, err)
	if back.ConfirmS != 5 || !bytes.Contains(back.Document, []byte("1000")) {
		t.Errorf("the roll back waits for %v s: %s", back.ConfirmS, back.Document)
	}
	eventually(t, talkLimit, "all peers go by what was before", func() bool {
		applied, err := b.api("w").ConfigApplied(within(t, reachLimit), back.Version+1, time.Second)
		return err == nil && applied.Complete && len(applied.Peers) == 6
	})
	for _, node := range []string{"w", "x", "y", "z", "a", "b"} {
		v, err := b.api(node).Config(within(t, reachLimit), 0)
		must(t, err)
		if v.Version != back.Version+1 || !bytes.Contains(v.Document, []byte("1001")) {
			t.Errorf("%s goes by version %d: %s", node, v.Version, v.Document)
		}
	}
}

// changes is how many changes the next test makes: some hundreds of milliseconds each. DRAWBRIDGE_CHANGES chooses more.
func changes(t *testing.T) int {
	if text := os.Getenv("DRAWBRIDGE_CHANGES"); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		return n
	}
	return 60
}

// TestNoChangeIsLostWithItsLeader: changes and roll-backs are asked of any peer while the voter that leads is killed again
// and again. What was acknowledged stays, under its number, and no two peers have different content of one version.
func TestNoChangeIsLostWithItsLeader(t *testing.T) {
	b := up(t, "default")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	all := []string{"w", "x", "y", "z", "a", "b"}
	acknowledged := map[uint64]json.RawMessage{}
	dead, deaths := "", 0
	revive := func() {
		if dead != "" {
			must(t, lab.Start(t.Context(), b.Name, dead))
			dead = ""
		}
	}
	for i := range changes(t) {
		if i%10 == 9 {
			revive()
			dead = b.leader(t)
			must(t, lab.Kill(b.Name, dead))
			deaths++
		} else if i%10 == 4 {
			revive()
		}
		node := all[r.IntN(len(all))]
		if node == dead {
			continue
		}
		if v, ok := b.change(t, r, node, 1000+i); ok {
			acknowledged[v.Version] = v.Document
		}
	}
	revive()
	if len(acknowledged) < changes(t)/2 || deaths == 0 {
		t.Fatalf("%d of %d changes were acknowledged beside %d deaths", len(acknowledged), changes(t), deaths)
	}
	t.Logf("%d changes were acknowledged beside %d deaths of the leader", len(acknowledged), deaths)
	b.agree(t, all, acknowledged)
}

// TestAVoterThatHasJustStartedTellsNothingOld: until the others have told it what was decided it has nothing to tell, and says so or waits, to
// people and to peers that ask it.
func TestAVoterThatHasJustStartedTellsNothingOld(t *testing.T) {
	b := up(t, "default")
	var v web.ConfigVersion
	eventually(t, reachLimit, "the configuration is changed", func() (ok bool) {
		var err error
		v, err = b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: limited(1000)})
		return err == nil
	})
	for _, voter := range []string{"w", "b", "w", "b"} {
		must(t, lab.Kill(b.Name, voter))
		must(t, lab.Start(t.Context(), b.Name, voter))
		told := false
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			for _, node := range []string{voter, "x"} {
				now, err := b.api(node).Config(within(t, reachLimit), 0)
				if err == nil && now.Version < v.Version {
					t.Fatalf("%s says after the start of %s that the newest version is %d, not %d", node, voter, now.Version, v.Version)
				}
				told = told || err == nil && node == voter
			}
		}
		if !told {
			t.Errorf("%s has told nothing", voter)
		}
	}
}

// TestAVoterThatHasJustStartedDecidesOnNothingOld: a change that is asked of it keeps the users that others know of, and what can be gone back
// to is not unknown.
func TestAVoterThatHasJustStartedDecidesOnNothingOld(t *testing.T) {
	b := up(t, "default")
	var v web.ConfigVersion
	var err error
	eventually(t, reachLimit, "the configuration is changed", func() bool {
		v, err = b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: limited(1000)})
		return err == nil
	})
	_, err = b.api("x").AddUser(within(t, reachLimit), web.UserRequest{Name: "ann", Role: "admin", Password: "a test's long password"})
	must(t, err)
	restarted := func(voter string) {
		must(t, lab.Kill(b.Name, voter))
		must(t, lab.Start(t.Context(), b.Name, voter))
	}
	for i, voter := range []string{"w", "b", "w", "b"} {
		restarted(voter)
		eventually(t, reachLimit, voter+" takes a change", func() bool {
			now, err := b.api("x").Config(within(t, reachLimit), 0)
			if err != nil {
				return false
			}
			_, err = b.api(voter).PutConfig(within(t, reachLimit), fmt.Sprint(now.Version), "", web.ConfigChange{Text: limited(1001 + i)})
			return err == nil
		})
		if users, err := b.api("x").Users(within(t, reachLimit)); err != nil || len(users) != 1 {
			t.Fatalf("after a change by %s, which had just started, the users are %+v: %v", voter, users, err)
		}
		restarted(voter)
		eventually(t, reachLimit, voter+" goes back", func() bool {
			_, err = b.api(voter).RollbackConfig(within(t, reachLimit), "*", "", web.ConfigRollback{To: v.Version})
			if r, ok := errors.AsType[*client.Refusal](err); ok && r.Status == http.StatusNotFound {
				t.Fatalf("%s, which has just started, does not know version %d: %v", voter, v.Version, err)
			}
			return err == nil
		})
	}
}

// leader is the voter through which decisions go.
func (b *bed) leader(t *testing.T) (name string) {
	t.Helper()
	eventually(t, reachLimit, "a voter leads", func() bool {
		for _, n := range []string{"w", "a", "b"} {
			v, err := b.api(n).Voters(within(t, reachLimit))
			if err == nil && v.Leader == n {
				name = n
				return true
			}
		}
		return false
	})
	return name
}

// change makes one change or goes back to one, and answers the version as it was acknowledged. Being refused for want of a
// leader is no failure; what was asked may have been done all the same.
func (b *bed) change(t *testing.T, r *rand.Rand, node string, storm int) (v web.ConfigVersion, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), reachLimit)
	defer cancel()
	var err error
	if storm%7 == 0 {
		var newest web.ConfigVersion
		if newest, err = b.api(node).Config(ctx, 0); err != nil || newest.Version < 2 {
			return v, false
		}
		v, err = b.api(node).RollbackConfig(ctx, "*", "", web.ConfigRollback{To: 1 + r.Uint64N(newest.Version-1)})
	} else {
		v, err = b.api(node).PutConfig(ctx, "*", "", web.ConfigChange{Text: limited(storm)})
	}
	if err != nil {
		t.Logf("%s does not take %d: %v", node, storm, err)
		return v, false
	}
	return v, true
}

// agree demands that every peer has the same versions, with what was acknowledged among them.
func (b *bed) agree(t *testing.T, all []string, acknowledged map[uint64]json.RawMessage) {
	t.Helper()
	newest, last := uint64(0), slices.Max(slices.Collect(maps.Keys(acknowledged)))
	eventually(t, talkLimit, fmt.Sprintf("all peers go by the newest version, %d or later", last), func() bool {
		h, err := b.api("x").ConfigVersions(within(t, reachLimit), 1)
		if err != nil || h.Newest < last { // the voter that it asks learns of a decision a moment after the leader
			return false
		}
		newest = h.Newest
		applied, err := b.api("x").ConfigApplied(within(t, reachLimit), newest, time.Second)
		return err == nil && applied.Complete && len(applied.Peers) == len(all)
	})
	for number := uint64(1); number <= newest; number++ {
		var first string
		for _, node := range all {
			v, err := b.api(node).Config(within(t, reachLimit), number)
			must(t, err)
			text := fmt.Sprintf("%d %s %s", v.Parent, v.Author, compact(t, v.Document))
			if first == "" {
				first = text
			}
			if text != first {
				t.Errorf("version %d is %s at %s, %s at %s", number, text, node, first, all[0])
			}
			if want := acknowledged[number]; want != nil && compact(t, want) != compact(t, v.Document) {
				t.Errorf("version %d at %s is %s, acknowledged was %s", number, node, v.Document, want)
			}
		}
	}
}

func compact(t *testing.T, document json.RawMessage) string {
	t.Helper()
	var out bytes.Buffer
	must(t, json.Compact(&out, document))
	return strings.TrimSpace(out.String())
}
