package warden

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent"
)

// The test binary is also the agent, and a daemon that is there to be killed.
const role = "DRAWBRIDGE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "agent":
		if err := agent.Serve(3); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "daemon":
		beDaemon()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	office = drawbridge.SegmentID(7)
	self   = drawbridge.PeerID(1)
	voter  = drawbridge.PeerID(2)
)

var (
	secret = []byte("0123456789abcdef")
	// The machine that tests run on is busy: a quarter of a second instead of the product's 40 ms.
	timing = lease.Wide
)

func config(generation uint32) lease.Config {
	return lease.Config{Generation: generation, Floor: 1, Sets: [][]drawbridge.PeerID{{self, voter}}, Timing: timing, Longest: timing.Term}
}

// memory is a gate that somebody else made.
type memory struct {
	*failover.Gate
	fd int
}

func (m memory) Memory() int { return m.fd }

// beDaemon keeps a lease against the voter whose address is the argument, with a gate in descriptor 3, and says on its
// output what happens. It takes words on its input.
func beDaemon() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	g, err := gate.Join(3, gate.Now)
	check(err)
	d := &daemon{}
	d.allowed.Store(true)
	d.moves.Store(true)
	w, err := New(Config{
		Self: self, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		Key:   func(drawbridge.PeerID) ([]byte, bool) { return secret, true },
		Alive: d.moves.Load, Tell: func(c Change) { fmt.Printf("change %v %d %d %s\n", c.Held, c.Epoch, c.At, c.Cause) },
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	check(err)
	exe, err := os.Executable()
	check(err)
	w.cfg.Command = []string{"/usr/bin/env", role + "=agent", exe}
	check(w.AddGate(office, memory{g, 3}, func(drawbridge.Epoch) bool { return d.allowed.Load() }))
	w.SetPeers(map[drawbridge.PeerID]netip.AddrPort{voter: netip.MustParseAddrPort(os.Args[1])})
	w.SetCandidate(office, 0, true)
	go d.follow(w)
	go d.listen(w, os.Stdin)
	check(w.Run(ctx))
	fmt.Println("end")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// follow gives every agent a configuration of its own, as Raft would.
func (d *daemon) follow(w *Warden) {
	for {
		life, changed := w.Life()
		if life != 0 {
			fmt.Printf("life %d %d\n", life, w.Status().Process)
			w.SetConfig(life, config(uint32(life)))
		}
		<-changed
	}
}

func (d *daemon) listen(w *Warden, in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		switch lines.Text() {
		case "veto":
			d.allowed.Store(false)
			w.Veto(office)
		case "allow":
			d.allowed.Store(true)
		case "stall":
			d.moves.Store(false)
		case "move":
			d.moves.Store(true)
		case "yield":
			fmt.Println("yielded", w.Yield(office, 0))
		case "resign":
			w.Resign()
		}
	}
}

// subject is a daemon under test, as its tester sees it.
type subject struct {
	*exec.Cmd
	t     *testing.T
	gate  *failover.Gate
	voter *witness
	in    io.WriteCloser
	lines chan string
	agent int // process id of its present agent
}

func start(t *testing.T) *subject {
	t.Helper()
	soft, err := gate.NewSoft()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { soft.Close() })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{t: t, gate: soft.Gate, voter: newWitness(t, soft.Gate), lines: make(chan string, 1000)}
	s.Cmd = exec.Command(exe, s.voter.addr.String())
	s.Env = append(os.Environ(), role+"=daemon")
	s.Stderr = os.Stderr
	s.ExtraFiles = []*os.File{os.NewFile(dup(t, soft.Memory()), "gate")}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.in, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Process.Kill()
		_ = s.Wait()
	})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
		close(s.lines)
	}()
	return s
}

// until waits for a line that begins with some words.
func (s *subject) until(words string) string {
	s.t.Helper()
	for line := range s.lines {
		var life int
		_, _ = fmt.Sscanf(line, "life %d %d", &life, &s.agent) // or it is another line
		if strings.HasPrefix(line, words) {
			return line
		}
	}
	s.t.Fatalf("the daemon ended before it said %q", words)
	return ""
}

func (s *subject) say(word string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.in, word); err != nil {
		s.t.Fatal(err)
	}
}

func (s *subject) signal(pid int, sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
}
