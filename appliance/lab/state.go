package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// Root holds one folder for every lab of this machine.
const Root = "/run/drawbridge-lab"

// state is what a lab remembers between commands, in state.json.
type state struct {
	Topology  string            `json:"topology"`          // the text of the file
	Binary    string            `json:"binary"`            // what the nodes run
	Updated   map[string]string `json:"updated,omitempty"` // by node: what it runs instead
	Console   string            `json:"console"`           // URL; empty: none
	Up        bool              `json:"up"`                // false: still being built, or it never came up
	Processes map[string]proc   `json:"processes"`
	Cuts      []cut             `json:"cuts"`
}

// proc is a process for good: pids are used again, start times are not.
type proc struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
}

// cut is a connection that `lab cut` interrupted: two nodes, or a node and a segment of its.
type cut struct {
	A       string `json:"a"`
	B       string `json:"b,omitempty"`
	Segment string `json:"segment,omitempty"`
}

// Lab is a lab that was built, or begun.
type Lab struct {
	Name string
	plan *plan
	state
}

// labDir is the folder of a lab.
func labDir(name string) string { return filepath.Join(Root, name) }

// checkLabName refuses names that cannot begin the name of a namespace and of a folder.
func checkLabName(name string) error {
	if err := drawbridge.CheckName(name); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// nodeDir is the folder of a node.
type nodeDir string

func (l *Lab) dirOf(node string) nodeDir { return nodeDir(filepath.Join(labDir(l.Name), node)) }

func (d nodeDir) config() string { return filepath.Join(string(d), "drawbridge.toml") }
func (d nodeDir) state() string  { return filepath.Join(string(d), "state") }
func (d nodeDir) socket() string { return filepath.Join(string(d), "drawbridge.sock") }
func (d nodeDir) log() string    { return filepath.Join(string(d), "log") }

// lock keeps other commands away from a lab until unlock; it waits for the one that is at it.
func lock(name string) (unlock func(), err error) {
	if err := errors.Join(checkLabName(name), os.MkdirAll(Root, 0o755)); err != nil {
		return nil, err
	}
	for {
		f, err := lockFile(name)
		if err != nil {
			return nil, fmt.Errorf("lock lab %s: %w", name, err)
		}
		if current(f) {
			return func() {
				os.Remove(lockPath(name)) // a failure leaves an empty file
				f.Close()
			}, nil
		}
		f.Close() // somebody removed it while we waited: what we hold is not what others lock
	}
}

// lockPath is beside the folder, not in it, because the lock is needed while there is none.
func lockPath(name string) string { return labDir(name) + ".lock" }

func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(name), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// current reports whether the open file is still the one under its name.
func current(f *os.File) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.Name())
	return err == nil && os.SameFile(ours, there)
}

// ErrNoLab is the condition behind commands on a lab that is not up.
var ErrNoLab = errors.New("no such lab; `drawbridge lab up` builds one")

// open reads a lab's state.
func open(name string) (*Lab, error) {
	if err := checkLabName(name); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(labDir(name), "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab %s: %w%s", name, ErrNoLab, others())
	}
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	l := &Lab{Name: name}
	if err := json.Unmarshal(text, &l.state); err != nil {
		return nil, fmt.Errorf("lab %s: state.json: %w", name, err)
	}
	t, err := Parse("state.json", []byte(l.Topology))
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	l.plan = newPlan(name, t)
	return l, nil
}

// others says which labs there are.
func others() string {
	names := Names()
	if len(names) == 0 {
		return ""
	}
	return " (there are " + strings.Join(names, ", ") + "; choose with --name)"
}

// Names are the labs of this machine.
func Names() (names []string) {
	found, _ := filepath.Glob(filepath.Join(Root, "*", "state.json")) // the pattern is well formed
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	return names
}

// save writes the state, whole or not at all.
func (l *Lab) save() error {
	text, err := json.MarshalIndent(l.state, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(labDir(l.Name), "state.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("lab %s: %w", l.Name, err)
	}
	return os.Rename(path+".new", path)
}
