package agent

import (
	"log/slog"

	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// maxWaiting bounds the reports that wait for a daemon which does not read.
const maxWaiting = 4096

// reports wait here until the pipe takes them: the daemon may be slow, or frozen, and the agent waits for nobody.
type reports struct {
	waiting [][]byte
}

func (a *Agent) tell(r pipe.Report) { a.reports.add(r.Append(nil)) }

func (a *Agent) note(level slog.Level, text string) {
	a.tell(pipe.Report{Kind: pipe.Noted, Level: level, Text: text})
}

func (r *reports) add(b []byte) {
	if len(r.waiting) >= maxWaiting {
		r.waiting = r.waiting[1:]
	}
	r.waiting = append(r.waiting, b)
}

// send hands over what the pipe takes. An end of the pipe is noticed where orders are read.
func (r *reports) send(fd int) {
	for len(r.waiting) > 0 {
		sent, err := pipe.Send(fd, r.waiting[0], -1)
		if err != nil {
			r.waiting = nil
			return
		}
		if !sent {
			return
		}
		r.waiting = r.waiting[1:]
	}
}
