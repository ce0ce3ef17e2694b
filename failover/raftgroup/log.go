package raftgroup

import (
	"bytes"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// logger shows raft's own words at debug level only: what matters of them is state, and it says the same of a voter
// that is down with every heartbeat.
func logger(log *slog.Logger) hclog.Logger {
	if log == nil {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Info, DisableTime: true, Output: lines{log}})
}

// lines logs what is written, a line for each write.
type lines struct{ log *slog.Logger }

var _ io.Writer = lines{}

func (l lines) Write(b []byte) (int, error) {
	l.log.Debug("raft", "reason", string(bytes.TrimSpace(b)))
	return len(b), nil
}
