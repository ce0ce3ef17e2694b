package appliance

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/systemd"
	"github.com/drawbridge-net/drawbridge/web"
)

// NodeFile is how a running peer takes changes of its node file.
type NodeFile struct {
	Again <-chan os.Signal               // says that it is to be read again
	Read  func() (*config.Config, error) // reads and checks it whole
	Level *slog.LevelVar                 // of the log
}

// reloading compares the node file with what runs.
type reloading struct {
	read func() (*config.Config, error)
	take func(*config.Config) error // puts what counts at once in force

	mu      sync.Mutex // guards what follows
	running *config.Config
	waiting []string // keys that take effect at the next start
	refused error    // why the file that is there now was not taken
}

// again reads the node file and takes from it what counts at once. One with an error changes nothing.
func (r *reloading) again() (now, next []string, err error) {
	r.mu.Lock()
	running := r.running
	r.mu.Unlock()
	file, err := r.read()
	if err == nil {
		now, next = config.Changes(running, file)
		err = r.take(file)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused = err; err != nil {
		return nil, nil, err
	}
	r.running, r.waiting = running.TakeLive(file), next
	return now, next, nil
}

// problems is what somebody who changed the file is to know.
func (r *reloading) problems(path string) (all []web.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused != nil {
		all = append(all, web.Problem{
			Summary: "the node file has errors and was not taken: " + r.refused.Error(),
			Remedy:  "correct " + path + " before the next start, and reload: systemctl reload drawbridge",
		})
	}
	if len(r.waiting) > 0 {
		all = append(all, web.Problem{
			Summary: strings.Join(r.waiting, ", ") + " in the node file: takes effect at the next start",
			Remedy:  "drawbridge restart, when it suits: segments are handed over first",
		})
	}
	return all
}

// FollowNodeFile has Run take changes of the node file when it is told that there are any.
func (n *Node) FollowNodeFile(f NodeFile) {
	n.reloadOn = f.Again
	n.reloading.read = f.Read
	n.reloading.take = func(c *config.Config) error {
		if err := n.router.Join(c.Join); err != nil {
			return err
		}
		f.Level.Set(c.Log.Slog())
		return nil
	}
}

// followNodeFile reads the node file again whenever it is told to, from the start on. Ports are not touched by any of it.
func (n *Node) followNodeFile(ctx context.Context, started <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return nil
	case <-started:
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.reloadOn:
			n.tellSystemd(systemd.Reloading)
			n.reload()
			n.tellSystemd(systemd.Reloaded)
		}
	}
}

func (n *Node) reload() {
	now, next, err := n.reloading.again()
	if err != nil {
		n.log.Error("the node file was not taken; everything goes on as before", "err", err)
		n.event(web.Event{Level: web.LevelError, Kind: "node_file_refused", Text: "the node file was not taken, and everything goes on as before: " + err.Error()})
		return
	}
	text := reloadText(now, next)
	n.log.Info("the node file was read again", "reason", text)
	level := web.LevelInfo
	if len(next) > 0 {
		level = web.LevelWarn
	}
	n.event(web.Event{Level: level, Kind: "node_file_read", Text: "the node file was read again: " + text})
}

// reloadText names the keys that were changed, and when each of them counts.
func reloadText(now, next []string) string {
	var parts []string
	for _, key := range now {
		parts = append(parts, key+" is in force")
	}
	for _, key := range next {
		parts = append(parts, key+": takes effect at the next start")
	}
	if len(parts) == 0 {
		return "it says what runs"
	}
	return strings.Join(parts, "; ")
}

// tellSystemd leaves a service manager that cannot be told with what it knows.
func (n *Node) tellSystemd(tell func() error) {
	if err := tell(); err != nil {
		n.log.Warn("systemd was not told", "err", err)
	}
}
