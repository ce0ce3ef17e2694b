package appliance

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/web"
)

// fileNode is a node that is nothing but what runs of a node file; what it reads is text, and what it took is taken.
func fileNode(t *testing.T, text *string) (n *Node, taken *[]string) {
	t.Helper()
	running, err := config.Parse("node.toml", []byte(*text))
	if err != nil {
		t.Fatal(err)
	}
	taken = new([]string)
	n = &Node{cfg: running, log: slog.New(slog.DiscardHandler), journal: web.NewJournal(time.Now)}
	n.reloading.running = running
	n.reloading.read = func() (*config.Config, error) { return config.Parse("node.toml", []byte(*text)) }
	n.reloading.take = func(c *config.Config) error {
		*taken = append(*taken, c.Log.Level)
		return nil
	}
	return n, taken
}

// summaries are the problems that status shows, and events the journal's.
func summaries(n *Node) (problems, events []string) {
	for _, p := range n.reloading.problems("node.toml") {
		problems = append(problems, p.Summary)
	}
	for _, e := range n.journal.After(0) {
		events = append(events, e.Kind+": "+e.Text)
	}
	return problems, events
}

func TestChangesAreTakenOrNamed(t *testing.T) {
	text := "listen = [\"192.0.2.1\"]\n"
	n, taken := fileNode(t, &text)
	text = "listen = [\"192.0.2.2\"]\n[log]\nlevel = \"debug\"\n"
	n.reload()
	problems, events := summaries(n)
	if !slices.Equal(*taken, []string{"debug"}) || len(problems) != 1 || !strings.Contains(problems[0], "listen in the node file: takes effect at the next start") {
		t.Errorf("taken %q, problems %q", *taken, problems)
	}
	if len(events) != 1 || !strings.Contains(events[0], "log.level is in force; listen: takes effect at the next start") {
		t.Errorf("events %q", events)
	}
	text = "listen = [\"192.0.2.1\"]\n[log]\nlevel = \"debug\"\n"
	n.reload()
	if problems, events = summaries(n); len(problems) != 0 || !strings.Contains(events[1], "it says what runs") {
		t.Errorf("after the change was taken back: problems %q, events %q", problems, events)
	}
}

// TestErrorsChangeNothing: not even what counts at once and has no error of its own.
func TestErrorsChangeNothing(t *testing.T) {
	text := ""
	n, taken := fileNode(t, &text)
	text = "liste = []\n[log]\nlevel = \"debug\"\n"
	n.reload()
	problems, events := summaries(n)
	if len(*taken) != 0 || n.reloading.running.Log.Level != "info" {
		t.Errorf("taken of a file with an error: %q, %+v", *taken, n.reloading.running.Log)
	}
	for _, said := range [][]string{problems, events} {
		if len(said) != 1 || !strings.Contains(said[0], "node.toml:1:1: liste: unknown key") {
			t.Errorf("said %q: want line and key", said)
		}
	}
	text = ""
	if n.reload(); len(n.reloading.problems("node.toml")) != 0 {
		t.Error("the error is still shown after it was corrected")
	}
	n.reloading.read = func() (*config.Config, error) { return nil, errors.New("it is gone") }
	if n.reload(); len(n.reloading.problems("node.toml")) != 1 {
		t.Error("a node file that cannot be read is not shown")
	}
}

// TestSignalsHaveTheFileRead: from the start on, and one that came before it is not lost.
func TestSignalsHaveTheFileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := ""
		n, taken := fileNode(t, &text)
		signals, started := make(chan os.Signal, 1), make(chan struct{})
		n.reloadOn = signals
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			if err := n.followNodeFile(ctx, started); err != nil {
				t.Error(err)
			}
		}()
		signals <- syscall.SIGHUP
		synctest.Wait()
		if len(*taken) != 0 {
			t.Error("read before the start was over")
		}
		close(started)
		synctest.Wait()
		signals <- syscall.SIGHUP
		synctest.Wait()
		if len(*taken) != 2 {
			t.Errorf("read %d times, told to twice", len(*taken))
		}
		stop()
		synctest.Wait()
	})
}
