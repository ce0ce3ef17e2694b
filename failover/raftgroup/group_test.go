package raftgroup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// patience bounds every wait. What is waited for takes a fraction of a second, unless the machine is very busy.
const patience = 30 * time.Second

// ca signs the voters of one network.
type ca struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool
}

func newCA(t testing.TB) *ca {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test network"}, IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &ca{key: key, pool: x509.NewCertPool()}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	c.pool.AddCert(c.cert)
	return c
}

// config is mutual TLS 1.3 for the peer called name.
func (c *ca) config(t testing.TB, name string) *tls.Config {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"voter"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: "voter", RootCAs: c.pool, ClientCAs: c.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
}

// node is a voter that can be stopped, cut off and started again.
type node struct {
	*Group
	cfg Config
	tls *tls.Config
	cut atomic.Bool // no connection begins
}

// newNode makes a voter that is not started.
func newNode(t testing.TB, c *ca, name drawbridge.PeerName) *node {
	t.Helper()
	n := &node{tls: c.config(t, string(name))}
	n.cfg = Config{Self: name, Address: "127.0.0.1:0", Dir: t.TempDir(), Accept: n.accept, Dial: n.dial, Heartbeat: 400 * time.Millisecond}
	return n
}

var errCut = errors.New("the cable is cut")

func (n *node) accept(ctx context.Context, raw net.Conn) (net.Conn, error) {
	if n.cut.Load() {
		return nil, errCut
	}
	conn := tls.Server(raw, n.tls)
	return conn, conn.HandshakeContext(ctx)
}

func (n *node) dial(ctx context.Context, addr string) (net.Conn, error) {
	if n.cut.Load() {
		return nil, errCut
	}
	return (&tls.Dialer{Config: n.tls}).DialContext(ctx, "tcp", addr)
}

// isolate breaks every connection of n, and lets none begin until heal. One that was just beginning may escape, so
// it is called again while something is waited for.
func (n *node) isolate() {
	n.cut.Store(true)
	n.transport.mu.Lock()
	defer n.transport.mu.Unlock()
	for c := range n.transport.open {
		sever(c.Conn)
	}
}

func (n *node) heal() { n.cut.Store(false) }

// start opens n, at the address that it had before.
func (n *node) start(t testing.TB) *node {
	t.Helper()
	var err error
	if n.cfg.Listener, err = net.Listen("tcp", n.cfg.Address); err != nil {
		t.Fatal(err)
	}
	n.cfg.Address = n.cfg.Listener.Addr().String()
	if n.Group, err = Open(n.cfg); err != nil {
		t.Fatal(err)
	}
	g := n.Group
	t.Cleanup(func() { g.Close() })
	return n
}

func (n *node) stop(t testing.TB) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func (n *node) voter() Voter { return Voter{n.cfg.Self, n.cfg.Address} }

// within waits until what holds.
func within(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.After(patience)
	for !holds() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			t.Fatalf("waited %v until %s", patience, what)
		}
	}
}

// reaches waits until n knows what was decided up to index, by the channel that its state comes with.
func (n *node) reaches(t testing.TB, index uint64) State {
	t.Helper()
	limit := time.After(patience)
	for {
		s, changed := n.State()
		if s.Index >= index {
			return s
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("waited %v until %s has come from %d to %d", patience, n.cfg.Self, s.Index, index)
		}
	}
}

func (n *node) decide(t testing.TB, c Command) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	index, err := n.Propose(ctx, c)
	if err != nil {
		t.Fatalf("%s: %v", n.cfg.Self, err)
	}
	return index
}

// cluster is a network of voters that know each other.
type cluster []*node

// newCluster founds a group and adds the other voters one by one.
func newCluster(t testing.TB, names ...drawbridge.PeerName) cluster {
	t.Helper()
	authority := newCA(t)
	var all cluster
	for _, name := range names {
		all = append(all, newNode(t, authority, name).start(t))
	}
	if err := all[0].Found(); err != nil {
		t.Fatal(err)
	}
	all.leader(t)
	for _, n := range all[1:] {
		all.change(t, func(ctx context.Context, leader *node) error { return leader.AddVoter(ctx, n.voter()) })
	}
	return all
}

// leader waits for one among the nodes that all others of them agree on.
func (all cluster) leader(t testing.TB) (leader *node) {
	t.Helper()
	within(t, "there is a leader", func() bool {
		for _, n := range all {
			if _, here := n.Leader(); here {
				leader = n
				return n.raft.VerifyLeader().Error() == nil
			}
		}
		return false
	})
	return leader
}

// change does something at the leader, whoever that is by then.
func (all cluster) change(t testing.TB, do func(context.Context, *node) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	within(t, "the leader has changed the voters", func() bool {
		err = do(ctx, all.leader(t))
		return !errors.Is(err, ErrNoLeader)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (all cluster) without(gone *node) (rest cluster) {
	for _, n := range all {
		if n != gone {
			rest = append(rest, n)
		}
	}
	return rest
}

// agree waits until all have come to index and checks that they hold the same.
func (all cluster) agree(t testing.TB, index uint64) State {
	t.Helper()
	want := all[0].reaches(t, index)
	for _, n := range all[1:] {
		if got := n.reaches(t, index); got.Index == want.Index && encoded(t, got) != encoded(t, want) {
			t.Fatalf("%s holds %s, %s holds %s", n.cfg.Self, encoded(t, got), all[0].cfg.Self, encoded(t, want))
		}
	}
	return want
}

func TestOneVoterDecidesAlone(t *testing.T) {
	t.Parallel()
	n := newCluster(t, "a")[0]
	s := n.reaches(t, n.decide(t, segment("lan", 7)))
	if s.Segments["lan"].VNI != 7 {
		t.Errorf("state is %s", encoded(t, s))
	}
	if err := n.Found(); !errors.Is(err, ErrFounded) {
		t.Errorf("founded again: %v", err)
	}
	if name, here := n.Leader(); name != "a" || !here {
		t.Errorf("leader is %q, here %v", name, here)
	}
	for _, c := range []Command{{}, segment("", 1)} {
		if _, err := n.Propose(t.Context(), c); !errors.Is(err, ErrCommand) {
			t.Errorf("decided %+v: %v", c, err)
		}
	}
}

func TestWhoeverWasNotAddedDecidesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, newCA(t), "a").start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Propose(ctx, segment("lan", 1)); !errors.Is(err, ErrNoLeader) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if voters, err := n.Voters(); err != nil || len(voters) != 0 {
		t.Errorf("voters are %v, %v", voters, err)
	}
	if err := n.AddVoter(t.Context(), n.voter()); !errors.Is(err, ErrNoLeader) {
		t.Errorf("added itself: %v", err)
	}
}

// TestFollowersForward: a proposal may be made at any voter; each is carried out once, also when it is repeated, and
// a refusal arrives as what it is.
func TestFollowersForward(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	leader := all.leader(t)
	var last uint64
	for i, n := range all.without(leader) {
		c := config(uint64(i), fmt.Sprint(i))
		c.ID = fmt.Sprint("request ", i)
		first := n.decide(t, c)
		if last = n.decide(t, c); last <= first { // as when the first answer was lost
			t.Errorf("asked again: %d after %d", last, first)
		}
		if s := n.reaches(t, last); s.newest() != uint64(i+1) {
			t.Errorf("%s does not know what it asked for: %s", n.cfg.Self, encoded(t, s))
		}
		if _, err := n.Propose(t.Context(), config(99, `1`)); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "version 99") {
			t.Errorf("conflict arrives as %v", err)
		}
	}
	if s := all.agree(t, last); s.newest() != 2 || len(s.Versions) != 2 {
		t.Errorf("state is %s", encoded(t, s))
	}
}

// TestLeaderDies while decisions are being asked for at the others: another leads, nothing that was answered is lost,
// and nothing is decided twice.
func TestLeaderDies(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	dying := all.leader(t)
	rest := all.without(dying)
	started := make(chan struct{})
	var wg sync.WaitGroup
	decided := make([]uint64, 2)
	for i, n := range rest {
		wg.Go(func() {
			for j := range 20 {
				c := Command{PutFact: &PutFact{fmt.Sprintf("%d/%d", i, j), Fact{Kind: "x"}}}
				if j == 5 {
					started <- struct{}{}
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				index, err := n.Propose(ctx, c)
				cancel()
				if err != nil {
					t.Errorf("%s: %v", n.cfg.Self, err)
					return
				}
				decided[i] = index
			}
		})
	}
	<-started
	<-started
	dying.stop(t)
	wg.Wait()
	if now := rest.leader(t); now == dying {
		t.Error("the dead leads")
	}
	if s := rest.agree(t, max(decided[0], decided[1])); len(s.Facts) != 40 {
		t.Errorf("%d of 40 decisions are left", len(s.Facts))
	}
	dying.start(t) // and it learns what it missed
	if s := all.agree(t, max(decided[0], decided[1])); len(s.Facts) != 40 {
		t.Errorf("%d of 40 decisions are left", len(s.Facts))
	}
}

// TestIsolatedLeaderDecidesNothing: without a majority it must not answer, and what it wrote down alone is dropped.
func TestIsolatedLeaderDecidesNothing(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	alone := all.leader(t)
	rest := all.without(alone)
	alone.isolate()
	ctx, cancel := context.WithCancel(t.Context())
	alone.raft.Apply([]byte(`{"id":"alone","set_policy":{"policy":"segment"}}`), 0)
	result := make(chan error, 1)
	go func() {
		_, err := alone.Propose(ctx, Command{SetPolicy: &SetPolicy{BySegment}})
		result <- err
	}()
	within(t, "the isolated leader gives up", func() bool {
		alone.isolate()
		_, here := alone.Leader()
		return !here
	})
	cancel()
	if err := <-result; !errors.Is(err, ErrNoLeader) {
		t.Errorf("decided alone: %v", err)
	}
	index := rest[0].decide(t, Command{SetPolicy: &SetPolicy{HoldGates}})
	alone.heal()
	if s := all.agree(t, index); s.Policy != HoldGates {
		t.Errorf("policy is %s", s.Policy)
	}
}

// TestRestartFromDisk: all voters lose power; what was decided is there again, and so is the longest lease, even
// before anybody leads.
func TestRestartFromDisk(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	all[0].decide(t, timers(50e6, 250e6))
	index := all[1].decide(t, segment("lan", 7))
	want := all.agree(t, index)
	for _, n := range all {
		n.stop(t)
	}
	first := all[0].start(t)
	if first.Longest() != 250*time.Millisecond {
		t.Errorf("longest lease after the start is %v", first.Longest())
	}
	if s, _ := first.State(); s.Index != 0 {
		t.Errorf("one of three says what is decided: %s", encoded(t, s))
	}
	all[1].start(t)
	all[2].start(t)
	if s := all.agree(t, index); s.Segments["lan"].VNI != 7 || s.Timers != want.Timers {
		t.Errorf("state is %s", encoded(t, s))
	}
	all[2].decide(t, segment("more", 8))
}

// TestSnapshotsStandInForTheLog: a voter that was away while the log was cut is given a snapshot, and a restart begins
// with one.
func TestSnapshotsStandInForTheLog(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	away := all.without(all.leader(t))[0]
	away.stop(t)
	rest := all.without(away)
	leader := rest.leader(t)
	config := leader.raft.ReloadableConfig()
	config.TrailingLogs = 1
	if err := leader.raft.ReloadConfig(config); err != nil {
		t.Fatal(err)
	}
	var index uint64
	for i := range 20 {
		index = leader.decide(t, segment(fmt.Sprintf("s%d", i), 7))
	}
	if err := leader.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if first, err := leader.store.FirstIndex(); err != nil || first < 10 {
		t.Fatalf("the log begins at %d: %v", first, err)
	}
	away.start(t)
	if s := all.agree(t, index); len(s.Segments) != 20 {
		t.Errorf("%d segments", len(s.Segments))
	}
	leader.stop(t)
	leader.start(t)
	if s, _ := leader.State(); len(s.Segments) != 20 {
		t.Errorf("%d segments after the start", len(s.Segments))
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	one := newCluster(t, "a", "b", "c")
	one[0].decide(t, timers(50e6, 250e6))
	one[0].decide(t, Command{Generation: &Generation{9}})
	one.agree(t, one[0].decide(t, segment("lan", 7)))
	var backup bytes.Buffer
	if err := one[1].Backup(&backup); err != nil {
		t.Fatal(err)
	}
	one[0].decide(t, Command{RemoveSegment: &RemoveSegment{"lan"}})
	one.agree(t, one[0].decide(t, Command{Remove: &Remove{"gone", 5}}))

	follower := one.without(one.leader(t))[0]
	if err := follower.Restore(t.Context(), bytes.NewReader(backup.Bytes()), "ann"); err != nil {
		t.Fatal(err)
	}
	s, _ := one.leader(t).State()
	if s = one.agree(t, s.Index); s.Segments["lan"].VNI != 7 || s.Generation != 11 || s.Timers.Longest != 250*time.Millisecond || len(s.Revoked) != 1 {
		t.Errorf("restored %s", encoded(t, s))
	}

	two := newCluster(t, "x", "y") // another network, all of whose voters are new
	if err := two[0].Restore(t.Context(), bytes.NewReader(backup.Bytes()), "ann"); err != nil {
		t.Fatal(err)
	}
	s, _ = two.leader(t).State()
	if s = two.agree(t, s.Index); s.Segments["lan"].VNI != 7 || s.Generation != 11 || s.Timers.Length != 250*time.Millisecond {
		t.Errorf("restored elsewhere %s", encoded(t, s))
	}
	if voters, err := two[0].Voters(); err != nil || len(voters) != 2 || voters[0].Name != "x" {
		t.Errorf("voters are %v, %v", voters, err)
	}
	if err := two[0].Restore(t.Context(), strings.NewReader("half a ba"), "ann"); !errors.Is(err, ErrCommand) {
		t.Errorf("nonsense: %v", err)
	}
}

// TestLargeDecisionsTravel, as large as they may be, and larger ones are refused where they are asked for.
func TestLargeDecisionsTravel(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b")
	follower := all.without(all.leader(t))[0]
	document := `"` + strings.Repeat("<", maxDocument-2) + `"` // JSON may escape each in six octets
	if _, err := follower.Propose(t.Context(), config(0, document)); !errors.Is(err, ErrCommand) {
		t.Errorf("more than fits: %v", err)
	}
	document = `"` + strings.Repeat("x", maxDocument-2) + `"`
	if s := all.agree(t, follower.decide(t, config(0, document))); string(s.Versions[0].Document) != document {
		t.Error("it arrived changed")
	}
}

func TestStrangersAreShutOut(t *testing.T) {
	t.Parallel()
	n := newCluster(t, "a")[0]
	stranger := newNode(t, newCA(t), "a")
	for kind, question := range map[byte]string{forProposal: `{"set_policy":{"policy":"segment"}}`, forStatus: "", forRaft: "", 99: ""} {
		conn, err := stranger.dial(t.Context(), n.cfg.Address)
		if err == nil {
			conn.Close()
			t.Fatal("a voter of another network was taken for one of ours")
		}
		raw, err := net.Dial("tcp", n.cfg.Address) // no TLS at all
		if err != nil {
			t.Fatal(err)
		}
		raw.Write(append([]byte{kind}, question...))
		raw.(*net.TCPConn).CloseWrite()                           // or it would be waited for
		if b, err := io.ReadAll(raw); err == nil && len(b) > 64 { // an alert of TLS at most
			t.Errorf("answered %q", b)
		}
		raw.Close()
	}
	config := stranger.tls.Clone()
	config.InsecureSkipVerify = true // it does not care who we are, but we do
	conn, err := tls.Dial("tcp", n.cfg.Address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte{forStatus})
	if b, err := io.ReadAll(conn); err == nil || len(b) != 0 {
		t.Errorf("a stranger was told %q: %v", b, err)
	}
	if s, _ := n.State(); s.Policy != CloseGates {
		t.Errorf("policy is %s", s.Policy)
	}
}

// TestCloseEndsWhatHangs: strangers that say nothing, connections of raft, and proposals that wait for a leader.
func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b")
	leader := all.leader(t)
	other := all.without(leader)[0]
	silent, err := net.Dial("tcp", leader.cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	caller, err := other.dial(t.Context(), leader.cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	caller.Write([]byte{forRaft})
	other.stop(t)
	within(t, "the leader gives up", func() bool { name, _ := leader.Leader(); return name == "" })
	result := make(chan error, 1)
	go func() {
		_, err := leader.Propose(t.Context(), segment("lan", 1))
		result <- err
	}()
	leader.stop(t)
	select {
	case err := <-result:
		if !errors.Is(err, ErrClosed) {
			t.Errorf("the proposal ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the proposal hangs")
	}
	caller.SetReadDeadline(time.Now().Add(patience))
	if _, err := caller.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that raft had taken over hangs: %v", err)
	}
	if err := leader.transport.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// TestOpenTheStore: also under the race detector, which checks pointers: an older pair of libraries aborts there.
func TestOpenTheStore(t *testing.T) {
	t.Parallel()
	n := newNode(t, newCA(t), "a")
	n.cfg.Dir = filepath.Join(n.cfg.Dir, "deep", "raft")
	n.start(t)
	if info, err := os.Stat(n.cfg.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	other := n.cfg
	var err error
	if other.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := other.Listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of a group that could not open: %v", err)
	}
	n.stop(t)
	if err := os.WriteFile(filepath.Join(n.cfg.Dir, "raft.db"), []byte(strings.Repeat("damaged", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	if other.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "raft.db") {
		t.Errorf("opened a damaged store: %v", err)
	}
}

func TestOpenWantsAWholeConfig(t *testing.T) {
	t.Parallel()
	whole := newNode(t, newCA(t), "a").cfg
	whole.Listener = &net.TCPListener{}
	for name, spoil := range map[string]func(*Config){
		"name": func(c *Config) { c.Self = "A!" }, "address": func(c *Config) { c.Address = "" }, "directory": func(c *Config) { c.Dir = "" },
		"listener": func(c *Config) { c.Listener = nil }, "accept": func(c *Config) { c.Accept = nil }, "dial": func(c *Config) { c.Dial = nil },
	} {
		c := whole
		spoil(&c)
		if g, err := Open(c); err == nil {
			g.Close()
			t.Errorf("opened without %s", name)
		}
	}
}
