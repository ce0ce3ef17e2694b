package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/doctor"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// The doctor asks the daemon, and its complaints make the exit code.
func TestDoctor(t *testing.T) {
	n := webtest.New()
	socket := daemon(t, n)
	dir := t.TempDir()
	file := filepath.Join(dir, "d.toml")
	text := fmt.Sprintf("state_dir = %q\nlisten = [\"127.0.0.1:0\"]\n[[guest]]\ntap = \"tap0\"\n", dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := call(t, nil, "doctor", "--quick", "--socket", socket, "--config", file)
	for _, want := range []string{"wrong    daemon a: peer z is unreachable\n         -> start it, or remove it with drawbridge peers forget z", "wrong    udp-port peer x: UDP does not get through"} {
		if r.code != exitFailed || !strings.Contains(r.out, want) || !strings.Contains(r.err, "wrong on this host") {
			t.Errorf("code %d: %s%s\nno %q", r.code, r.out, r.err, want)
		}
	}
	r = call(t, nil, "doctor", "--quick", "--json", "--socket", socket, "--config", file)
	var report doctor.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != exitFailed || report.OK || report.Facts == nil || report.Facts.Daemon.Name != "a" {
		t.Errorf("code %d, %v: %s", r.code, err, r.out)
	}
}

func TestReportsAreShownWorstFirst(t *testing.T) {
	var out bytes.Buffer
	to := newTool(nil, &out, nil)
	report := doctor.Report{Results: []doctor.Result{
		{Check: "disk", Subject: "/x", State: doctor.OK, Found: "fine"},
		{Check: "mtu", State: doctor.Advice, Found: "narrow", Remedy: "widen"},
		{Check: "node-file", State: doctor.Wrong, Found: "line 1\nline 2\x1b[2J", Remedy: "correct it"},
	}}
	err := to.tellReport(report, false)
	want := fmt.Sprintf("wrong    node-file: line 1\nline 2?[2J\n         -> correct it\nadvice   mtu: narrow\n         -> widen\n%d checks found: 1 wrong, 1 with advice, 0 unknown, 1 ok\n", len(doctor.Checks))
	if err == nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out.String(), want)
	}
	out.Reset()
	report.Results = report.Results[:2]
	if err := to.tellReport(report, true); err != nil || !strings.Contains(out.String(), "ok       disk /x: fine") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestAskDaemonWithoutOne(t *testing.T) {
	to := newTool(nil, nil, nil)
	to.socket = filepath.Join(t.TempDir(), "none")
	if d := to.askDaemon(t.Context(), "/x"); d.Running || d.Error == "" || d.Socket != to.socket {
		t.Errorf("%+v", d)
	}
	n := webtest.New()
	n.Change(func(v *webtest.Values) { v.Failure = errors.New("x"); v.Status.Problems = []web.Problem{} })
	to.socket = daemon(t, n)
	if d := to.askDaemon(t.Context(), ""); !d.Running || len(d.Links) != 2 {
		t.Errorf("%+v", d)
	}
}
