package appliance

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

func TestResetSparesTheLastVoters(t *testing.T) {
	last := func(context.Context, drawbridge.PeerName) error { return raftgroup.ErrLastVoters }
	enough := func(context.Context, drawbridge.PeerName) error { return nil }
	if err := sparesOthers(t.Context(), "a", 2, last); !errors.Is(err, web.ErrConflict) || !strings.Contains(err.Error(), "status screen") {
		t.Errorf("the others could decide nothing: %v", err)
	}
	if err := errors.Join(sparesOthers(t.Context(), "a", 2, enough), sparesOthers(t.Context(), "a", 0, last)); err != nil {
		t.Errorf("the others can, or there are none: %v", err)
	}
}

func TestResetWantsTheNameAndAnAppliance(t *testing.T) {
	dir := t.TempDir()
	n := &Node{log: slog.New(slog.DiscardHandler), journal: web.NewJournal(time.Now), creds: &secure.Credentials{Identity: secure.Identity{Name: "a"}}}
	n.updating.orders = errand.Box(dir)
	ask := func(name string) error {
		_, err := n.FactoryReset(t.Context(), web.ResetRequest{Confirm: name, By: "ann"})
		return err
	}
	ordered := func() bool {
		_, err := os.Stat(filepath.Join(dir, errand.Reset))
		return err == nil
	}
	for _, name := range []string{"", "b", "A", "a "} {
		if err := ask(name); !errors.Is(err, web.ErrInvalid) || ordered() {
			t.Fatalf("confirmed by %q: %v, ordered %v", name, err, ordered())
		}
	}
	n.updating.busy.Store(true)
	if err := ask("a"); !errors.Is(err, web.ErrConflict) || ordered() {
		t.Errorf("while an update is written: %v, ordered %v", err, ordered())
	}
	n.updating.busy.Store(false)
	if err := ask("a"); err != nil || !ordered() || len(n.journal.After(0)) != 1 {
		t.Errorf("%v, ordered %v, events %+v", err, ordered(), n.journal.After(0))
	}
	n.updating.orders = errand.Box(filepath.Join(dir, "none"))
	if err := ask("a"); !errors.Is(err, web.ErrConflict) || !strings.Contains(err.Error(), "drawbridge peers forget a, and then apt purge") {
		t.Errorf("on a host that is no appliance: %v", err)
	}
}
