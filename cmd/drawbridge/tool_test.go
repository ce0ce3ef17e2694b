package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/lease/warden"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

var update = flag.Bool("update", false, "write the golden files and the reference of the command line")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == warden.Argument { // a daemon in a test starts this program for its leases
		main()
	}
	if os.Getenv(asProgram) != "" { // the package's build script asks this program for its pages
		main()
	}
	time.Local = time.UTC // events show local time
	for _, key := range []string{"DRAWBRIDGE_SOCKET", "DRAWBRIDGE_CONFIG"} {
		_ = os.Unsetenv(key)
	}
	os.Exit(m.Run())
}

// result is what a command line left behind.
type result struct {
	code     int
	out, err string
}

// daemon serves a node on a socket and returns its path.
func daemon(t *testing.T, n web.Node) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.sock")
	l, err := web.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(ctx, l, web.New(n, slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

// call runs one command line.
func call(t *testing.T, change func(*tool), args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	to := newTool(strings.NewReader(""), &out, &err)
	to.now = func() time.Time { return webtest.Now }
	if change != nil {
		change(to)
	}
	code := to.run(t.Context(), args)
	return result{code, out.String(), err.String()}
}

// golden compares got with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s (go test -update writes it; %v):\n%s", path, err, got)
	}
}

func TestTables(t *testing.T) {
	n := webtest.New()
	n.Happen(web.Event{Level: web.LevelInfo, Kind: "peer_up", Text: "peer b is up", Peer: "b"})
	n.Happen(web.Event{Level: web.LevelWarn, Kind: "peer_down", Text: "peer z is unreachable", Peer: "z", Reason: "no heartbeat for 350 ms"})
	socket := daemon(t, n)
	for _, line := range []string{"status", "peers", "peers links", "segments", "ports", "routes", "macs", "macs --peer y", "events", "token list", "alerts", "alerts sinks", "operations", "segments --json", "status --json"} {
		r := call(t, nil, append(strings.Fields(line), "--socket", socket)...)
		if r.code != exitDone || r.err != "" {
			t.Errorf("%s: code %d, %s", line, r.code, r.err)
		}
		golden(t, strings.ReplaceAll(line, " ", "_"), r.out)
	}
	for _, line := range []string{"status", "segments", "peers"} {
		r := call(t, func(to *tool) { to.colour = true }, line, "--socket", socket)
		golden(t, line+"_colour", strings.ReplaceAll(r.out, "\x1b", "^"))
	}
}

func TestForeignTextCannotDriveTheTerminal(t *testing.T) {
	n := webtest.New()
	const attack = "\x1b]0;x\a\u202e"
	n.Change(func(v *webtest.Values) {
		v.Peers[1].Software, v.Segments[0].Cause, v.Segments[0].Gateways[0].Reasons[0] = attack, attack, attack
		v.Status.Drops = map[string]uint64{attack: 1}
	})
	n.Happen(web.Event{Text: attack, Reason: attack})
	socket := daemon(t, n)
	for _, line := range []string{"status", "peers", "segments", "events"} {
		r := call(t, nil, line, "--socket", socket)
		if strings.ContainsAny(r.out, "\x1b\a\u202e") || !strings.Contains(r.out, "?]0;x??") {
			t.Errorf("%s: %q", line, r.out)
		}
	}
}

func TestEmptyNetwork(t *testing.T) {
	n := webtest.New()
	n.Change(func(v *webtest.Values) { *v = webtest.Values{} })
	socket := daemon(t, n)
	var all strings.Builder
	for _, line := range []string{"status", "peers", "peers links", "segments", "ports", "routes", "macs", "events", "token list", "alerts", "alerts sinks", "operations"} {
		r := call(t, nil, append(strings.Fields(line), "--socket", socket)...)
		fmt.Fprintf(&all, "%s: %d\n%s", line, r.code, r.out)
	}
	golden(t, "empty", all.String())
}

func TestExitCodes(t *testing.T) {
	n := webtest.New()
	n.Change(func(v *webtest.Values) { v.Failure = fmt.Errorf("peer nobody %w", web.ErrNotFound) })
	socket := daemon(t, n)
	none := filepath.Join(t.TempDir(), "none.sock")
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"", 2, "wants a command"},
		{"nonsense", 2, `unknown command "nonsense"`},
		{"statu", 2, "did you mean status?"},
		{"config rolback 1", 2, "did you mean rollback?"},
		{"token", 2, "wants a command"},
		{"token nonsense", 2, "nonsense"},
		{"status extra", 2, "extra"},
		{"macs flash", 2, "flash"},
		{"status --nonsense", 2, "unknown flag"},
		{"peers forget", 2, "accepts 1 arg"},
		{"macs --mac x", 2, "six octets"},
		{"macs --vni 99999999", 2, "largest"},
		{"macs flush --mac x", 2, "six octets"},
		{"token create --role king", 2, "king"},
		{"token create --ttl 1000h", 2, "--ttl"},
		{"token create --uses 0", 2, "--uses"},
		{"token revoke x", 2, "x"},
		{"events -n -1", 2, "--last"},
		{"events --level loud", 2, "level"},
		{"peers --state asleep", 2, "unreachable"},
		{"peers --limit -1", 2, "limit"},
		{"alerts --severity loud --watch", 2, "severity"},
		{"segments mode office passive --watch", 2, "looking"},
		{"config show x", 2, "version"},
		{"ipam why x", 2, "ADDRESS"},
		{"init", 2, "--network"},
		{"init --network Home", 2, "--network"},
		{"init --network home --name A", 2, "--name"},
		{"init --network home --name a --advertise 0.0.0.0:1", 2, "--advertise"},
		{"init --network home --name a --outbound-only --advertise h:1", 2, "contradict"},
		{"join garbage --name a", 1, "not a join token"},
		{"peers forget nobody", 1, "peer nobody does not exist"},
		{"capture nonsense", 1, "does not exist"},
		{"status", 0, ""},
		{"--help", 0, ""},
		{"version", 0, ""},
		{"status --socket " + none, 3, none},
		{"peers forget z --socket " + none, 3, "systemctl start drawbridge"},
		{"events --watch --socket " + none, 3, "DRAWBRIDGE_SOCKET"},
		{"version --socket " + none, 0, ""},
	} {
		args := strings.Fields(c.line)
		if !strings.Contains(c.line, "--socket") {
			args = append(args, "--socket", socket)
		}
		r := call(t, nil, append(args, "--config", filepath.Join(t.TempDir(), "x.toml"))...)
		if r.code != c.code || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: code %d, want %d; %s", c.line, r.code, c.code, r.err)
		}
		if c.code == exitUsage && !strings.Contains(r.err, "--help") {
			t.Errorf("%s: does not name the help: %s", c.line, r.err)
		}
	}
}

func TestSocketOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.toml")
	if err := os.WriteFile(file, []byte(`socket = "/of/file"`), 0o600); err != nil {
		t.Fatal(err)
	}
	to := newTool(nil, nil, nil)
	expect := func(want string) {
		t.Helper()
		if got, err := to.socketPath(); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	t.Setenv("DRAWBRIDGE_CONFIG", file)
	expect("/of/file")
	t.Setenv("DRAWBRIDGE_SOCKET", "/of/environment")
	expect("/of/environment")
	to.socket = "/of/flag"
	expect("/of/flag")
}

func TestChanges(t *testing.T) {
	n := webtest.New()
	socket := daemon(t, n)
	t.Setenv("SUDO_USER", "ann")
	for line, says := range map[string]string{
		"peers forget z": "peer z is removed",
		"macs flush --mac 02-00-00-00-00-01 --everywhere": "1 MAC address forgotten here, and the other peers are told",
		"macs flush":       "3 MAC addresses forgotten",
		"ports clear tap0": "port tap0 listens again",
		"token create -q":  "dbt1-secret\n",
		"token create --role voter,gateway --ttl 2h": "A secret for 1 peer, valid for 2 h, roles: voter, gateway",
		"token create --json --uses 2":               `"uses": 2`,
		"token revoke 0102030405":                    "token 0102030405 is revoked",
		"restart --machine":                          "the machine starts again",
	} {
		r := call(t, nil, append(strings.Fields(line), "--socket", socket)...)
		if r.code != exitDone || !strings.Contains(r.out, says) {
			t.Errorf("%s: code %d, %q %q", line, r.code, r.out, r.err)
		}
	}
	asked := strings.Join(n.Asked(), "\n")
	for _, want := range []string{
		"forget z", "{MAC:02:00:00:00:00:01 VNI:0 Port: Peer: Segment:} everywhere=true", "everywhere=false",
		"token [peer] 3600s 1 by ann", "token [voter gateway] 7200s 1 by ann", "token [peer] 3600s 2 by ann", "revoke 0102030405", "clear tap0 by ann", "restart the machine by ann",
	} {
		if !strings.Contains(asked, want) {
			t.Errorf("not asked for %s:\n%s", want, asked)
		}
	}
}

func TestForgetAsks(t *testing.T) {
	n := webtest.New()
	socket := daemon(t, n)
	for answer, code := range map[string]int{"y\n": exitDone, "\n": exitFailed, "": exitFailed, "no\n": exitFailed} {
		r := call(t, func(to *tool) { to.interactive, to.in = true, strings.NewReader(answer) }, "peers", "forget", "z", "--socket", socket)
		if r.code != code || !strings.Contains(r.err, "for good? ") {
			t.Errorf("%q: code %d, %s", answer, r.code, r.err)
		}
	}
	if asked := n.Asked(); len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
}

// lines tells its reader about every line as it is written.
type lines struct {
	mu   sync.Mutex
	part string
	all  chan string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part += string(b)
	for {
		line, rest, ok := strings.Cut(l.part, "\n")
		if !ok {
			return len(b), nil
		}
		l.part = rest
		l.all <- line
	}
}

// background runs a command without an end, and returns its lines and how to interrupt it.
func background(t *testing.T, args ...string) (out <-chan string, interrupt func() int) {
	l := &lines{all: make(chan string, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- newTool(strings.NewReader(""), l, os.Stderr).run(ctx, args) }()
	t.Cleanup(cancel)
	return l.all, func() int { cancel(); return <-ended }
}

func TestWatch(t *testing.T) {
	n := webtest.New()
	out, interrupt := background(t, "segments", "--json", "--watch", "--socket", daemon(t, n))
	if line := <-out; !strings.Contains(line, `"active":"a"`) {
		t.Errorf("got %s", line)
	}
	n.Change(func(v *webtest.Values) { v.Segments = nil })
	if line := <-out; line != "[]" {
		t.Errorf("got %s", line)
	}
	if code := interrupt(); code != exitDone {
		t.Errorf("interrupted: code %d", code)
	}
}

func TestEventsFollow(t *testing.T) {
	n := webtest.New()
	for i := range 5 {
		n.Happen(web.Event{Level: web.LevelInfo, Text: fmt.Sprintf("event %d", i)})
	}
	out, interrupt := background(t, "events", "--watch", "-n", "2", "--socket", daemon(t, n))
	for _, want := range []string{"event 3", "event 4"} {
		if line := <-out; !strings.HasSuffix(line, want) {
			t.Errorf("got %s, want %s", line, want)
		}
	}
	n.Happen(web.Event{Level: web.LevelInfo, Text: "event 5"})
	if line := <-out; !strings.HasSuffix(line, "event 5") {
		t.Errorf("got %s", line)
	}
	if code := interrupt(); code != exitDone {
		t.Errorf("interrupted: code %d", code)
	}
}

// A capture to a file says what it has: frames are counted wherever their blocks are cut.
func TestCapturedFramesAreCounted(t *testing.T) {
	block := func(kind byte, length int) []byte {
		b := make([]byte, length)
		b[0], b[4] = kind, byte(length)
		return b
	}
	stream := slices.Concat(block(10, 28), block(1, 20), block(6, 96), block(6, 40), block(5, 24), block(6, 32))
	for size := 1; size <= len(stream); size++ {
		var p pcapng
		for part := range slices.Chunk(stream, size) {
			p.count(part)
		}
		if p.frames != 3 || p.length != uint64(len(stream)) {
			t.Fatalf("in parts of %d: %d frames of %d octets", size, p.frames, p.length)
		}
	}
}

func TestADifferenceHasLines(t *testing.T) {
	r := call(t, nil, "config", "diff", "1", "2", "--socket", daemon(t, webtest.New()))
	if r.code != exitDone || !strings.Contains(r.out, "+++ version 2\n") || !strings.Contains(r.out, "\n-profile = 'default'\n+profile = 'wan'\n") {
		t.Errorf("%+v", r)
	}
}

func TestCapture(t *testing.T) {
	n := webtest.New()
	n.Change(func(v *webtest.Values) { v.Capture = []byte("first\n") })
	socket := daemon(t, n)
	out, interrupt := background(t, "capture", "tap0", "--before-gate", "--filter", "arp", "--socket", socket)
	if line := <-out; line != "first" {
		t.Errorf("got %q", line)
	}
	if code := interrupt(); code != exitDone {
		t.Errorf("interrupted: code %d", code)
	}
	if asked := n.Asked()[0]; asked != "capture {Port:tap0 Segment: Filter:arp Where:before-gate}" {
		t.Errorf("asked %s", asked)
	}

	if r := call(t, func(to *tool) { to.terminal = true }, "capture", "tap0", "--socket", socket); r.code != exitUsage || !strings.Contains(r.err, "-w") {
		t.Errorf("to a terminal: %+v", r)
	}
	n.Change(func(v *webtest.Values) { v.Failure = web.ErrNotFound })
	file := filepath.Join(t.TempDir(), "x.pcapng")
	if r := call(t, nil, "capture", "moon", "-w", file, "--socket", socket); r.code != exitFailed {
		t.Errorf("refused: %+v", r)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a refused capture left a file")
	}
}

func TestCompletion(t *testing.T) {
	socket := daemon(t, webtest.New())
	for line, want := range map[string]string{
		"__complete --socket S peers forget ":   "b\tdirect\n",
		"__complete --socket S capture ":        "eth1.42\tsegment\ntap0\tguest\n",
		"__complete --socket S macs --peer ":    "z\tunreachable\n",
		"__complete --socket S token revoke ":   "0102030405\tvoter, gateway\n",
		"__complete --socket S macs --segment ": "office\n",
	} {
		args := strings.Split(strings.Replace(line, "S", socket, 1), " ")
		if r := call(t, nil, args...); r.code != exitDone || !strings.Contains(r.out, want) || strings.Contains(r.out, "a\tself") {
			t.Errorf("%s: %+v", line, r)
		}
	}
	if r := call(t, nil, "completion", "bash"); r.code != exitDone || !strings.Contains(r.out, "drawbridge") {
		t.Errorf("completion script: code %d", r.code)
	}
}
