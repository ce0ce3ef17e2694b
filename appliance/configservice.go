package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// configService is the name of the streams on which a peer that does not vote asks one that does.
const configService = "config"

// Operations of a configQuestion.
const (
	opGet      = "get"
	opList     = "list"
	opPut      = "put"
	opConfirm  = "confirm"
	opRollback = "rollback"
	opEngines  = "engines"
)

// configQuestion is what a voter is asked, one a stream.
type configQuestion struct {
	Op       string             `json:"op"`
	Number   uint64             `json:"number,omitempty"` // 0: the newest
	Limit    int                `json:"limit,omitempty"`
	Proposal web.ConfigProposal `json:"proposal,omitzero"`
}

// configReply is what it answers.
type configReply struct {
	Version  *raftgroup.Version  `json:"version,omitempty"` // nil: none yet
	Versions []raftgroup.Version `json:"versions,omitempty"`
	Oldest   uint64              `json:"oldest,omitempty"`
	Newest   uint64              `json:"newest,omitempty"`
	Engines  *raftgroup.Engines  `json:"engines,omitempty"`
	Problems web.InvalidConfig   `json:"problems,omitempty"`
	Error    string              `json:"error,omitempty"`
	Kind     string              `json:"kind,omitempty"` // which condition Error is
}

// configKinds are the conditions that survive being forwarded.
var configKinds = map[string]error{
	"invalid": web.ErrInvalid, "not_found": web.ErrNotFound, "conflict": web.ErrConflict, "stale": web.ErrStale, "unavailable": web.ErrUnavailable,
}

const (
	// askFor bounds one question: as long as an election among busy voters may take.
	askFor = 10 * time.Second
	// maxReply bounds an answer: a thousand versions without documents, or one with.
	maxReply = 4 << 20
)

// serveConfig answers one question of another peer.
func (n *Node) serveConfig(from drawbridge.PeerID, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askFor))
	var q configQuestion
	if err := json.NewDecoder(io.LimitReader(c, maxReply)).Decode(&q); err != nil {
		n.log.Debug("question about the configuration not understood", "peer", from, "err", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	_ = json.NewEncoder(c).Encode(n.replyTo(ctx, q)) // whoever hears nothing asks again
}

func (n *Node) replyTo(ctx context.Context, q configQuestion) configReply {
	if n.voter == nil {
		return replyOf(configReply{}, fmt.Errorf("%w: peer %s does not vote", web.ErrUnavailable, n.creds.Name))
	}
	return replyOf(n.decideConfig(ctx, q))
}

// replyOf puts an error into words that survive the way.
func replyOf(r configReply, err error) configReply {
	if err == nil {
		return r
	}
	r.Error = err.Error()
	var invalid web.InvalidConfig
	if errors.As(err, &invalid) {
		r.Problems = invalid
	}
	for kind, condition := range configKinds {
		if errors.Is(err, condition) {
			r.Kind = kind
		}
	}
	return r
}

// err is the error that replyOf put into words.
func (r configReply) err() error {
	switch {
	case r.Error == "":
		return nil
	case len(r.Problems) > 0:
		return r.Problems
	}
	return repliedError{r.Error, configKinds[r.Kind]}
}

// repliedError is another peer's error.
type repliedError struct {
	text      string
	condition error // may be nil
}

func (e repliedError) Error() string { return e.text }
func (e repliedError) Unwrap() error { return e.condition }

// askConfig has a question answered here, when this peer votes, or by one that does.
func (n *Node) askConfig(ctx context.Context, q configQuestion) (configReply, error) {
	if n.voter != nil {
		return n.decideConfig(ctx, q)
	}
	return n.askVoters(ctx, n.votersWithin(ctx, awaitReach), q)
}

// awaitReach is how long is waited for a voter: a peer that has just started, or stood still, reaches the others within a second, and who asks
// it something then need not ask again.
const awaitReach = 2 * time.Second

// lookSoon is how often soon looks at what nobody tells of.
const lookSoon = 50 * time.Millisecond

// soon looks again and again until something is so, or for so long.
func soon(ctx context.Context, long time.Duration, is func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	again := time.NewTicker(lookSoon)
	defer again.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
	}
	return true
}

// votersWithin are the voters that can be reached, as soon as there are any; none after so long.
func (n *Node) votersWithin(ctx context.Context, long time.Duration) (voters []mesh.PeerStatus) {
	soon(ctx, long, func() bool {
		voters = n.votersNow()
		return len(voters) > 0
	})
	return voters
}

// askVoters asks one voter after the other, until one answers. The id of a change makes that it happens once.
func (n *Node) askVoters(ctx context.Context, voters []mesh.PeerStatus, q configQuestion) (configReply, error) {
	var failed error
	for _, p := range voters {
		r, err := n.askVoter(ctx, p.ID, q)
		if err == nil {
			if err = r.err(); !errors.Is(err, web.ErrUnavailable) {
				return r, err
			}
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", p.Name, err))
	}
	if failed == nil {
		return configReply{}, fmt.Errorf("%w: this peer does not vote, and no voter can be reached: look at drawbridge peers", web.ErrUnavailable)
	}
	return configReply{}, fmt.Errorf("%w: no voter answered: %w", web.ErrUnavailable, failed)
}

// votersNow are the voters that can be reached, the nearest first.
func (n *Node) votersNow() (voters []mesh.PeerStatus) {
	for _, p := range n.router.Peers() {
		if p.ID != n.creds.ID() && p.Roles.Has(secure.Voter) && reached(p) {
			voters = append(voters, p)
		}
	}
	slices.SortStableFunc(voters, func(a, b mesh.PeerStatus) int { return int(a.RTT - b.RTT) })
	return voters
}

// askOne bounds a question to one voter, so that another has its turn when one is frozen.
const askOne = 4 * time.Second

func (n *Node) askVoter(ctx context.Context, id drawbridge.PeerID, q configQuestion) (r configReply, err error) {
	err = n.inquire(ctx, id, configService, q, &r, maxReply)
	return r, err
}

// inquire puts a question to a service of another peer, and reads an answer of at most so many bytes.
func (n *Node) inquire(ctx context.Context, id drawbridge.PeerID, service string, question, answer any, most int64) error {
	c, err := n.router.Open(id, service)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askOne)) // before ctx may set one that has passed
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if err := json.NewEncoder(c).Encode(question); err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(c, most)).Decode(answer)
}
