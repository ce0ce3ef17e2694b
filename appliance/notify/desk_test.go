package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// office is a desk in a directory whose drivers are one sink by name.
func office(dir string, sinks map[string]*sink, told func(Event)) *Desk {
	return NewDesk(Config{
		Dir: dir, Network: "home", From: "a", Replace: overwrite, Log: slog.New(slog.DiscardHandler), Event: told,
		drive: func(s *Spec) (Driver, error) {
			if d, ok := sinks[s.Name]; ok {
				return d, nil
			}
			return nil, errors.New("cannot be made")
		},
	})
}

func takes(*Message, int) error { return nil }

func TestDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "alerts")
		sinks := map[string]*sink{"all": {answer: takes}, "gates": {answer: takes}, "others": {answer: takes}}
		d := office(dir, sinks, nil)
		specs := []Spec{
			{Name: "all", Kind: Webhooks},
			{Name: "gates", Kind: Webhooks, Events: []string{"gate_*", "typo"}, Severity: Warn},
			{Name: "others", Kind: Webhooks, Peers: []string{"b"}},
			{Name: "broken", Kind: Webhooks},
		}
		d.Set(t.Context(), specs)
		d.Tell([]Event{{ID: 1, Kind: "gate_open", Level: Info}, {ID: 2, Kind: "gate_shut", Level: Warn}, {ID: 3, Kind: "x", Level: Error}})
		synctest.Wait()
		for name, want := range map[string]string{"all": "[1:gate_open 2:gate_shut 3:x]", "gates": "[1:gate_shut]", "others": "[]"} {
			if got := fmt.Sprint(sinks[name].took); got != want {
				t.Errorf("%s took %s, want %s", name, got, want)
			}
		}
		all := d.Sinks()
		if all[0].Name != "all" || all[0].Delivered != 3 || all[1].Problem == nil || all[2].Unheard[0] != "typo" || all[3].Tells {
			t.Errorf("%+v", all)
		}
		files, _ := filepath.Glob(dir + "/*")
		if len(files) != 2 {
			t.Errorf("queues %v", files)
		}
		if err := d.Test(t.Context(), "nobody", Event{}); !errors.Is(err, ErrNoSink) {
			t.Error(err)
		}
		if err := d.Test(t.Context(), "others", NewTest("alice", time.Now())); err != nil || fmt.Sprint(sinks["others"].took) != "[0:test]" {
			t.Errorf("%v, took %v", err, sinks["others"].took)
		}
		d.Set(t.Context(), specs[:1]) // the same sink goes on
		d.Tell([]Event{{ID: 4, Kind: "y", Level: Error}})
		synctest.Wait()
		if files, _ := filepath.Glob(dir + "/*"); len(sinks["all"].took) != 4 || len(files) != 1 {
			t.Errorf("took %v, queues %v", sinks["all"].took, files)
		}
		d.Close()
	})
}

func TestNumbersGoOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		specs := []Spec{{Name: "ops", Kind: Webhooks}}
		away := &sink{answer: func(*Message, int) error { return errors.New("away") }}
		d := office(dir, map[string]*sink{"ops": away}, nil)
		d.Set(t.Context(), specs)
		d.Tell([]Event{{ID: 1, Kind: "x"}, {ID: 2, Kind: "y"}})
		synctest.Wait()
		d.Close()
		back := &sink{answer: takes}
		d = office(dir, map[string]*sink{"ops": back}, nil)
		d.Set(t.Context(), specs)
		d.Tell([]Event{{ID: 9, Kind: "z"}})
		synctest.Wait()
		if got := fmt.Sprint(back.took); got != "[1:x 2:y 3:z]" {
			t.Errorf("took %s", got)
		}
		d.Close()
	})
}

func TestAFullQueueIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		away := &sink{answer: func(*Message, int) error { return errors.New("away") }}
		d := office(t.TempDir(), map[string]*sink{"ops": away}, func(e Event) { told = append(told, e) })
		d.Set(t.Context(), []Spec{{Name: "ops", Kind: Webhooks}})
		batch := make([]Event, 512)
		for range queueLimit/len(batch) + 3 {
			d.Tell(batch)
		}
		if len(told) != 1 || !strings.Contains(told[0].Text, "sink ops") {
			t.Errorf("told %v", told)
		}
		d.Tell(told) // through the journal it comes back
		if c := d.Sinks()[0].Counts; c.Waiting != queueLimit || c.Dropped != 3*512+1 {
			t.Errorf("%+v", c)
		}
		d.Close()
	})
}

func TestADirectoryThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := &sink{answer: takes}
		d := office(filepath.Join(file, "alerts"), map[string]*sink{"ops": s}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d.Set(ctx, []Spec{{Name: "ops", Kind: Webhooks}})
		d.Tell([]Event{{ID: 1, Kind: "x"}})
		synctest.Wait()
		if all := d.Sinks(); all[0].Problem == nil || len(s.took) != 1 {
			t.Errorf("%v, took %v: want it told, and that there is no queue on disk", all[0].Problem, s.took)
		}
		d.Close()
	})
}
