package appliance

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/subnets"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// Names under which peers speak about addresses: messages of docs/protocol/ipam.md, and questions to one peer.
const (
	ipamChannel = "ipam"
	ipamService = "ipam"
)

// addressFile in the state directory is what this peer knows about address space. Who loses it is another holder.
const addressFile = "addresses"

// addresses is this peer's part in giving out addresses.
type addresses struct {
	*addresskeeper.Keeper
	node     *Node
	decided  notifier // the voters' decisions, or this peer's configuration
	guests   guests
	names    *names
	lookouts lookouts

	mu          sync.Mutex // guards what follows
	askedUnused time.Time
}

// openStore reads the state file. One that is damaged is put aside, as frames are more important than addresses: the peer
// then is as one that has lost its file, and gives no address until the voters know (docs/protocol/ipam.md, rule 9).
func (n *Node) openStore() (*ipam.Store, []ipam.Batch, error) {
	path := filepath.Join(n.creds.Dir(), addressFile)
	store, frames, err := ipam.OpenStore(path)
	if errors.Is(err, ipam.ErrState) {
		n.log.Error("addresses cannot be given by this peer; the file is put aside", "reason", err)
		if err = os.Rename(path, path+".damaged"); err == nil {
			store, frames, err = ipam.OpenStore(path)
		}
	}
	if err != nil {
		err = fmt.Errorf("addresses: %w", err)
	}
	return store, frames, err
}

// openAddresses makes this peer's part in giving out addresses.
func (n *Node) openAddresses() error {
	store, frames, err := n.openStore()
	if err != nil {
		return err
	}
	a := &addresses{node: n}
	a.lookouts.node = n
	started, began := time.Now().UnixNano(), gate.Now()
	a.Keeper, err = addresskeeper.New(addresskeeper.Config{
		Peer:   ipam.Config{Self: n.creds.ID(), Random: random, Near: n.near},
		Frames: frames, Disk: store, Mesh: addressMesh{n}, Decisions: decisions{n},
		Now:   func() ipam.Instant { return ipam.Instant(started).Add(gate.Now().Sub(began)) },
		Event: n.addressEvent, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.addresses = a
	n.openGuests()
	a.names = n.openNames()
	n.router.Register(ipamChannel, addressChannel{a.Keeper})
	n.router.Handle(ipamService, n.serveAddresses)
	return nil
}

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}

// near counts the peers on the way to another.
func (n *Node) near(id drawbridge.PeerID) int {
	for _, p := range n.router.Peers() {
		if p.ID == id && len(p.Route) > 0 {
			return len(p.Route)
		}
	}
	return 8
}

// addressMesh sends over the mesh, once that is there.
type addressMesh struct{ n *Node }

// Send implements addresskeeper.Mesh.
func (m addressMesh) Send(to drawbridge.PeerID, msg []byte) error {
	select {
	case <-m.n.router.Ready():
		return m.n.router.Send(to, ipamChannel, msg)
	default:
		return errors.New("the mesh is not ready")
	}
}

// addressChannel hears what other peers say about addresses.
type addressChannel struct{ *addresskeeper.Keeper }

// State implements mesh.Channel: peers tell each other by messages of their own.
func (addressChannel) State() []byte { return nil }

// Merge implements mesh.Channel.
func (addressChannel) Merge(drawbridge.PeerID, []byte) {}

var _ mesh.Channel = addressChannel{}

// addressEvent puts what the address management tells into the journal.
func (n *Node) addressEvent(e ipam.Event) {
	level := web.LevelInfo
	switch e.Kind {
	case "conflict", "broken", "forged", "fenced", "lapsed":
		level = web.LevelError
	case "renumbered", "foreign":
		level = web.LevelWarn
	}
	name := ""
	if e.Peer != 0 {
		name = string(n.nameOfPeer(e.Peer))
	}
	n.event(web.Event{Level: level, Kind: "address_" + e.Kind, Peer: name, Text: e.Text})
}

func (n *Node) nameOfPeer(id drawbridge.PeerID) drawbridge.PeerName {
	for _, p := range n.router.Peers() {
		if p.ID == id {
			return p.Name
		}
	}
	return drawbridge.PeerName(id.String())
}

// decisions are those of the voters: a voter has them, any other peer asks one.
type decisions struct{ n *Node }

// Changed implements addresskeeper.Decisions.
func (d decisions) Changed() <-chan struct{} { return d.n.addresses.decided.watch() }

// Known implements addresskeeper.Decisions.
func (d decisions) Known(ctx context.Context) (ipam.Decided, error) {
	if d.n.voter != nil {
		return d.n.knownAddresses(ctx)
	}
	return d.ask(ctx, addressQuestion{Op: opKnown})
}

// Confirmed implements addresskeeper.Decisions.
func (d decisions) Confirmed(ctx context.Context) (ipam.Decided, error) {
	return d.ask(ctx, addressQuestion{Op: opConfirmed})
}

// Admit implements addresskeeper.Decisions.
func (d decisions) Admit(ctx context.Context, h ipam.Holder) error {
	_, err := d.ask(ctx, addressQuestion{Op: opAdmit, Life: h.Life})
	return err
}

func (d decisions) ask(ctx context.Context, q addressQuestion) (ipam.Decided, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	if d.n.voter != nil {
		r, err := d.n.decideAddress(ctx, d.n.creds.ID(), q)
		return r.Decided, err
	}
	select {
	case <-d.n.router.Ready():
	default:
		return ipam.Decided{}, fmt.Errorf("%w: the mesh is not ready", web.ErrUnavailable)
	}
	failed := fmt.Errorf("%w: no voter can be reached", web.ErrUnavailable)
	for _, p := range d.n.votersNow() {
		r, err := d.n.askAddresses(ctx, p.ID, q)
		if err == nil {
			return r.Decided, nil
		}
		failed = fmt.Errorf("%s: %w", p.Name, err)
	}
	return ipam.Decided{}, failed
}

// knownAddresses is what this voter knows of the decisions. What a snapshot has is better than nothing where no majority answers.
func (n *Node) knownAddresses(ctx context.Context) (ipam.Decided, error) {
	current := n.voter.current(ctx)
	state, _ := n.voter.group.State()
	if state.IPAM.Number == 0 && !current {
		return ipam.Decided{}, n.unknowing()
	}
	return readDecided(state.IPAM)
}

func readDecided(s raftgroup.IPAM) (d ipam.Decided, err error) {
	if s.Number == 0 {
		return d, nil
	}
	if err = json.Unmarshal(s.Decided, &d); err != nil {
		return d, fmt.Errorf("decisions about addresses: %w", err)
	}
	d.Number = s.Number
	return d, nil
}

// Operations of an addressQuestion.
const (
	opKnown     = "known"
	opConfirmed = "confirmed"
	opAdmit     = "admit"
	opRows      = "rows"
	opRelease   = "release"
	opMoved     = "moved"
	opForget    = "forget"
	opNearby    = "nearby"
	opUnused    = "unused"
	opClaim     = "claim"
	opUnclaim   = "unclaim"
)

// addressQuestion is what a peer is asked about addresses, one a stream.
type addressQuestion struct {
	Op      string `json:"op"`
	Life    uint32 `json:"life,omitempty"`    // opAdmit
	Address string `json:"address,omitempty"` // opRelease
	Owner   string `json:"owner,omitempty"`   // opMoved
	Peer    string `json:"peer,omitempty"`    // opForget
	Subnet  string `json:"subnet,omitempty"`  // opMoved, opUnused
	// Claims are of opClaim and opUnclaim.
	Claims []addressClaim `json:"claims,omitempty"`
}

// addressReply is what it answers.
type addressReply struct {
	Decided ipam.Decided     `json:"decided,omitzero"`
	Rows    []web.Address    `json:"rows,omitempty"`
	Address string           `json:"address,omitempty"` // opMoved
	Nearby  []subnets.Nearby `json:"nearby,omitempty"`
	// Refused answers opClaim.
	Refused web.InvalidImport `json:"refused,omitempty"`
	// Decision and Used answer opUnused.
	Decision uint32 `json:"decision,omitempty"`
	Used     int    `json:"used,omitempty"`
	Error    string `json:"error,omitempty"`
	Kind     string `json:"kind,omitempty"`
}

// maxAddresses bounds an answer: a million rows.
const maxAddresses = 256 << 20

func (n *Node) serveAddresses(from drawbridge.PeerID, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askFor))
	var q addressQuestion
	if err := json.NewDecoder(io.LimitReader(c, maxReply)).Decode(&q); err != nil {
		n.log.Debug("question about addresses not understood", "peer", from, "err", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	r, err := n.decideAddress(ctx, from, q)
	if err != nil {
		said := replyOf(configReply{}, err)
		r = addressReply{Error: said.Error, Kind: said.Kind}
	}
	_ = json.NewEncoder(c).Encode(r) // whoever hears nothing asks again
}

// decideAddress answers a question here.
func (n *Node) decideAddress(ctx context.Context, from drawbridge.PeerID, q addressQuestion) (r addressReply, err error) {
	switch q.Op {
	case opRows:
		r.Rows, err = n.Addresses(ctx, false)
		return r, err
	case opRelease:
		return r, n.releaseHere(ctx, q.Address)
	case opMoved:
		return n.movedHere(ctx, q)
	case opNearby:
		r.Nearby = n.surroundings()
		return r, nil
	case opUnused:
		return n.usedHere(ctx, q)
	case opClaim:
		return n.claimHere(ctx, q.Claims)
	case opUnclaim:
		return r, n.unclaimHere(ctx, q.Claims)
	}
	if n.voter == nil {
		return r, fmt.Errorf("%w: peer %s does not vote", web.ErrUnavailable, n.creds.Name)
	}
	switch q.Op {
	case opKnown:
		r.Decided, err = n.knownAddresses(ctx)
	case opConfirmed:
		var state raftgroup.State
		if state, err = n.voter.group.Confirmed(ctx, string(n.nameOfPeer(from))); err == nil {
			r.Decided, err = readDecided(state.IPAM)
		}
	case opAdmit:
		r.Decided, err = n.changeAddresses(ctx, func(d ipam.Decided) (ipam.Decided, bool, error) {
			return addresskeeper.Admit(d, ipam.Holder{Peer: from, Life: q.Life}, n.nameOfPeer(from), n.addressWorld())
		})
	case opForget:
		r.Decided, err = n.forgetAddresses(ctx, from, q.Peer)
	default:
		err = fmt.Errorf("%w: operation %q of addresses; update this peer", web.ErrInvalid, q.Op)
	}
	return r, decision(err)
}

// askAddresses asks one peer.
func (n *Node) askAddresses(ctx context.Context, id drawbridge.PeerID, q addressQuestion) (r addressReply, err error) {
	if err = n.inquire(ctx, id, ipamService, q, &r, maxAddresses); err == nil && r.Error != "" {
		err = repliedError{r.Error, configKinds[r.Kind]}
	}
	return r, err
}
