package screen

import (
	"errors"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/installer"
)

var (
	then  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	files = []installer.Backup{{Medium: "sdb1", Name: "drawbridge-a-20261121T120000Z.age", Size: 183_411, Changed: then}, {Medium: "sdb1", Name: "old.backup", Size: 9, Changed: then.AddDate(-1, 0, 0)}}
	ofA   = Summary{Peer: "a", Network: "home", Software: "1.0", Created: then, Files: 23}
)

func TestRestore(t *testing.T) {
	c := &transcript{h: fresh}
	if o := c.types("restore"); o.Do != Find {
		t.Errorf("%+v", o)
	}
	c.Backups(files, nil)
	c.note("backups are known")
	c.types("3")
	c.types("1")
	if !c.Secret() {
		t.Error("the passphrase would be shown")
	}
	if o := c.Line("a wrong  passphrase", c.h); o.Do != Open || o.Words[2] != "a wrong  passphrase" {
		t.Errorf("%+v", o)
	}
	c.note("a passphrase was typed")
	c.Opened(Summary{}, errors.New("the passphrase is wrong"))
	c.note("it was wrong")
	c.Line("1", c.h)
	c.Line("the right one", c.h)
	c.Opened(ofA, nil)
	c.note("it is whole")
	if o := c.types("a"); o.Do != Restore || len(o.Words) != 0 {
		t.Errorf("%+v", o)
	}
	c.Restored(nil)
	c.note("restored")
	c.golden(t, "restore")
}

func TestRestoreGoesWrong(t *testing.T) {
	c := &transcript{h: fresh}
	c.Line("restore", c.h)
	c.Backups(nil, nil)
	c.note("no stick")
	c.Line("restore", c.h)
	c.Backups(nil, errors.New("the update service is not reached"))
	c.note("no service")
	to := func(line string) Order {
		c.step = agreeing
		c.summary = ofA
		return c.Line(line, c.h)
	}
	for _, line := range []string{"", "yes", "b", "a lost", "a found found"} {
		if o := to(line); o.Do != Nothing {
			t.Errorf("%q restores", line)
		}
	}
	c.note("nothing was restored")
	if o := to("a found"); o.Do != Restore || len(o.Words) != 1 {
		t.Errorf("%+v", o)
	}
	c.Restored(errors.New("no space left on device"))
	c.note("the disk is full")
	if o := c.Line("restore", inUse); o.Do != Nothing {
		t.Error("a peer was restored over")
	}
	c.golden(t, "restore-wrong")
}
