package errand

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestAnOrderIsGoneWhateverBecomesOfIt(t *testing.T) {
	b := Box(t.TempDir())
	for _, failure := range []error{nil, errors.New("the boot state cannot be written")} {
		if err := b.Leave(Reset); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(b.path(Reset)); err != nil {
			t.Fatalf("nobody would see the order: %v", err)
		}
		err := b.CarryOut(Reset, func() error {
			if _, err := os.Stat(b.path(Reset)); err == nil {
				t.Error("the order is still there while it is carried out")
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Errorf("%v, want %v", err, failure)
		}
		if _, err := os.Stat(b.path(Reset)); !os.IsNotExist(err) {
			t.Errorf("the unit would be started again: %v", err)
		}
	}
	all := b.Failures()
	if len(all) != 1 || all[0] != "the factory reset was not carried out: the boot state cannot be written" {
		t.Errorf("failures %q", all)
	}
}

func TestTheNextOrderForgetsTheReason(t *testing.T) {
	b := Box(t.TempDir())
	_ = b.CarryOut(Reboot, func() error { return errors.New("no") })
	if len(b.Failures()) != 1 {
		t.Fatal("no reason was kept")
	}
	if err := b.Leave(Reboot); err != nil || len(b.Failures()) != 0 {
		t.Errorf("failures %q, %v", b.Failures(), err)
	}
}

// TestAnOrderThatStaysIsNotDone: a directory that is not empty stands for what may not be removed.
func TestAnOrderThatStaysIsNotDone(t *testing.T) {
	b := Box(t.TempDir())
	if err := os.MkdirAll(b.path(Reset)+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	err := b.CarryOut(Reset, func() error { t.Error("done"); return nil })
	if err == nil || !strings.Contains(err.Error(), "take an order away") || len(b.Failures()) != 1 {
		t.Errorf("%v, failures %q", err, b.Failures())
	}
	if err := b.CarryOut("../x", func() error { t.Error("done"); return nil }); err == nil {
		t.Error("an order that there is none of")
	}
}

func TestNoAppliance(t *testing.T) {
	b := Box(t.TempDir() + "/none")
	if err := b.Leave(Reset); !errors.Is(err, os.ErrNotExist) || len(b.Failures()) != 0 {
		t.Errorf("%v, %q", err, b.Failures())
	}
}
