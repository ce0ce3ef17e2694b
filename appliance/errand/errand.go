// Package errand is how those of an appliance who may do little, the gateway and the status screen, have done what wants more: they
// leave an order as a file, a path unit of systemd sees it, and its service carries it out as root. An order that could not be carried
// out is gone, so that the unit is not started for it again and again, and the reason stands beside where it was until the next start.
package errand

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dir is where the path units look (drawbridge-reboot.path, drawbridge-reset.path). It is there on an appliance alone, and its
// services may take orders away by their group: they have no capability that would let them.
const Dir = "/run/drawbridge-orders"

// Orders, by the names of their files.
const (
	Reboot = "reboot"
	Reset  = "reset"
)

// titles are what people call them; there are no others.
var titles = map[string]string{Reboot: "the restart of the machine", Reset: "the factory reset"}

// Box is a directory for orders.
type Box string

func (b Box) path(name string) string   { return filepath.Join(string(b), name) }
func (b Box) reason(name string) string { return b.path(name + ".failed") }

// Leave gives an order. What became of an earlier one is no news any more.
func (b Box) Leave(name string) error {
	if err := b.forget(b.reason(name)); err != nil {
		return err
	}
	return os.WriteFile(b.path(name), nil, 0o644)
}

// CarryOut takes an order away and does it; why that failed is kept for Failures. An order that cannot be taken away is not done: it
// would be done for ever.
func (b Box) CarryOut(name string, do func() error) error {
	title, ok := titles[name]
	if !ok {
		return fmt.Errorf("there is no order %q", name)
	}
	err := b.forget(b.path(name))
	if err == nil {
		err = do()
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s was not carried out: %w", title, err)
	return errors.Join(err, os.WriteFile(b.reason(name), []byte(err.Error()+"\n"), 0o644))
}

// forget removes a file that need not be there.
func (b Box) forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("take an order away: %w", err)
	}
	return nil
}

// Failures are why orders were not carried out.
func (b Box) Failures() (all []string) {
	for _, name := range []string{Reboot, Reset} {
		text, err := os.ReadFile(b.reason(name))
		if err == nil && len(text) > 0 {
			all = append(all, strings.TrimSpace(string(text)))
		}
	}
	return all
}
