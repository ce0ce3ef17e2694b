package appliance

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// maxOperations bounds what is remembered of operations: those of a few weeks of an ordinary network.
const maxOperations = 256

// operations are those of this run, in the order of their beginning.
type operations struct {
	mu  sync.Mutex // guards what follows
	all []*operation
}

// operation is one of them while it is under way, and afterwards.
type operation struct {
	node *Node
	done chan struct{}

	mu   sync.Mutex // guards what follows
	view web.Operation
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

// begin notes a new operation. An id that is given is that of the peer which was asked for it.
func (n *Node) begin(o web.Operation) *operation {
	if o.ID == "" {
		o.ID = newID()
	}
	o.State, o.Started = web.OperationRunning, time.Now().UTC()
	op := &operation{node: n, done: make(chan struct{}), view: o}
	n.operations.mu.Lock()
	n.operations.all = append(n.operations.all, op)
	if len(n.operations.all) > maxOperations {
		n.operations.all = slices.Clone(n.operations.all[1:])
	}
	n.operations.mu.Unlock()
	n.changed.tell()
	return op
}

// Operations implements web.Node.
func (n *Node) Operations() []web.Operation {
	n.operations.mu.Lock()
	all := slices.Clone(n.operations.all)
	n.operations.mu.Unlock()
	views := make([]web.Operation, 0, len(all))
	for _, op := range slices.Backward(all) {
		views = append(views, op.read())
	}
	return views
}

// read copies the operation; what its pointers lead to is never changed.
func (op *operation) read() web.Operation {
	op.mu.Lock()
	defer op.mu.Unlock()
	v := op.view
	v.Checks = append([]web.Check{}, v.Checks...)
	v.Steps = append([]web.Step{}, v.Steps...)
	v.Flushed = append([]web.FlushedAt{}, v.Flushed...)
	return v
}

func (op *operation) change(f func(*web.Operation)) {
	op.mu.Lock()
	f(&op.view)
	op.mu.Unlock()
	op.node.changed.tell()
}

// step notes that something was done just now.
func (op *operation) step(name, peer, text string) {
	op.stepped(web.Step{Name: name, Time: time.Now().UTC(), Peer: peer, Text: text})
}

// stepped notes what was done before.
func (op *operation) stepped(steps ...web.Step) {
	if len(steps) == 0 {
		return
	}
	op.change(func(v *web.Operation) {
		for _, s := range steps {
			s.At = web.MillisecondsOf(s.Time.Sub(v.Started))
			v.Steps = append(v.Steps, s)
		}
	})
}

// end is called once.
func (op *operation) end(state, outcome string) {
	now := time.Now().UTC()
	op.change(func(v *web.Operation) { v.State, v.Outcome, v.Ended = state, outcome, &now })
	close(op.done)
}

// mirror takes over how an operation stands that another peer carries out.
func (op *operation) mirror(v web.Operation) {
	op.change(func(mine *web.Operation) {
		v.ID, v.Kind, v.By, v.Started = mine.ID, mine.Kind, mine.By, mine.Started
		state, outcome, ended := mine.State, mine.Outcome, mine.Ended
		*mine = v
		mine.State, mine.Outcome, mine.Ended = state, outcome, ended
	})
}
