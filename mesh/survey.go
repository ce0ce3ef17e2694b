package mesh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/drawbridge-net/drawbridge"
)

// memberlist's stream protocol, as much of it as we look at: one octet of type, a header, then the nodes and
// the state of the delegate.
const (
	pushPull = 6 // the only type that peers use on streams: no compression, no pings

	// maxNodes and maxState bound what memberlist allocates on a far end's word, which it takes unseen.
	maxNodes = 1 << 16
	maxState = 16 << 20
)

type pushPullHeader struct {
	Nodes        int
	UserStateLen int
	Join         bool
}

// pushPullNode is what memberlist says of a node; it says more.
type pushPullNode struct {
	Name  string
	State int
}

var memberStates = [...]string{MemberAlive, MemberSuspect, MemberDead, MemberLeft}

const (
	// surveyLimit bounds a survey; memberlist answers from memory.
	surveyLimit = time.Second

	// surveyEvery is how old an answer may be: asking makes every channel write down its state.
	surveyEvery = 200 * time.Millisecond
)

// survey asks memberlist what it thinks of everybody, unless that is known. It has no call for that, but tells every peer
// that asks, so we ask as a peer would: a dozen switches between goroutines. Not for use in memberlist's callbacks: it
// holds its lock then.
func (m *members) survey() {
	now := time.Now()
	m.mu.Lock()
	fresh := m.fresh(now)
	m.mu.Unlock()
	if !fresh {
		m.refresh(now)
	}
}

// fresh is called with mu held.
func (m *members) fresh(now time.Time) bool { return m.last != nil && now.Sub(m.lastAt) < surveyEvery }

// known is what memberlist has told us, and what a survey found out not long ago.
func (m *members) known() map[drawbridge.PeerID]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := maps.Clone(m.states)
	if m.fresh(time.Now()) {
		maps.Copy(states, m.last)
	}
	return states
}

func (m *members) refresh(now time.Time) {
	states, err := m.ask()
	if err != nil && !errors.Is(err, errStopped) {
		m.r.drop("membership: survey")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.lastAt = states, now
}

func (m *members) ask() (map[drawbridge.PeerID]string, error) {
	states := map[drawbridge.PeerID]string{}
	near, far := net.Pipe()
	defer near.Close()
	near.SetDeadline(time.Now().Add(surveyLimit))
	select {
	case <-m.begun:
	default:
		return states, errStopped
	}
	select {
	case m.streams <- far:
	case <-m.stopped:
		return states, errStopped
	}
	question := bytes.NewBuffer([]byte{pushPull})
	if err := codec.NewEncoder(question, &codec.MsgpackHandle{}).Encode(&pushPullHeader{}); err != nil {
		return states, err
	}
	if _, err := near.Write(question.Bytes()); err != nil {
		return states, err
	}
	return states, readNodes(near, states)
}

func readNodes(r io.Reader, states map[drawbridge.PeerID]string) error {
	h, dec, err := readPushPull(r)
	if err != nil {
		return err
	}
	for range h.Nodes {
		var n pushPullNode
		if err := dec.Decode(&n); err != nil {
			return err
		}
		if id, err := nodeID(n.Name); err == nil && n.State >= 0 && n.State < len(memberStates) {
			states[id] = memberStates[n.State]
		}
	}
	return nil
}

var errPushPull = errors.New("not an exchange of memberlist's state")

// readPushPull reads type and header, and refuses what memberlist should not be asked to make room for.
func readPushPull(r io.Reader) (h pushPullHeader, dec *codec.Decoder, err error) {
	var kind [1]byte
	if _, err := io.ReadFull(r, kind[:]); err != nil {
		return h, nil, err
	}
	if kind[0] != pushPull {
		return h, nil, fmt.Errorf("type %d: %w", kind[0], errPushPull)
	}
	dec = codec.NewDecoder(r, &codec.MsgpackHandle{})
	if err := dec.Decode(&h); err != nil {
		return h, nil, fmt.Errorf("%w: %w", errPushPull, err)
	}
	if h.Nodes < 0 || h.Nodes > maxNodes || h.UserStateLen < 0 || h.UserStateLen > maxState {
		return h, nil, fmt.Errorf("%d nodes and %d bytes: %w", h.Nodes, h.UserStateLen, errPushPull)
	}
	return h, dec, nil
}

// guarded is a stream of memberlist whose header is looked at before memberlist sees it.
type guarded struct {
	net.Conn
	drop func(reason string)

	once  sync.Once
	ahead bytes.Buffer // read, and not handed on yet
	err   error
}

func (g *guarded) Read(b []byte) (int, error) {
	g.once.Do(func() {
		_, _, g.err = readPushPull(io.TeeReader(g.Conn, &g.ahead))
		if errors.Is(g.err, errPushPull) {
			g.drop("membership stream: refused")
		}
	})
	switch {
	case g.err != nil:
		return 0, g.err
	case g.ahead.Len() > 0:
		return g.ahead.Read(b)
	}
	return g.Conn.Read(b)
}
