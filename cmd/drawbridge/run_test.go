package main

import (
	"bytes"
	"log/slog"
	"os"
	"syscall"
	"testing"
)

// TestHangUpDoesNotEndThePeer: a signal that nobody took would end this process.
func TestHangUpDoesNotEndThePeer(t *testing.T) {
	again := hangUps()
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGHUP} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	if s := <-again; s != syscall.SIGHUP {
		t.Errorf("told of %s", s)
	}
}

func TestLevelOfTheLogChangesWhileItRuns(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := logger("json", level, &out).With("peer", "a")
	log.Debug("not yet")
	level.Set(slog.LevelDebug)
	log.Debug("now")
	if bytes.Contains(out.Bytes(), []byte("not yet")) || !bytes.Contains(out.Bytes(), []byte("now")) {
		t.Errorf("%s", &out)
	}
}
