package webtest

import (
	"context"
	"io"

	"github.com/drawbridge-net/drawbridge/web"
)

// Rolled is a roll-out that waits for somebody.
var Rolled = web.Rollout{
	ID: "00112233445566aa", Coordinator: "w", AgeS: 3, By: "ann", Source: web.SourceRestart, State: "paused",
	Reason: "b: vlan: listening", Started: Now,
	Peers: []web.RolloutPeer{{Name: "a", Step: "waiting", Since: Now}, {Name: "b", Step: "verify", Since: Now, From: "1.0", To: "1.1"}},
	Log:   []web.RolloutLine{{Time: Now, Peer: "b", Text: "is next"}},
}

// Rollout implements web.Node.
func (n *Node) Rollout() (web.Rollout, error) { return Rolled, n.read().Failure }

// Rollouts implements web.Node.
func (n *Node) Rollouts() []web.Rollout { return n.read().Rollouts }

// StartRollout implements web.Node.
func (n *Node) StartRollout(_ context.Context, r web.RolloutRequest) (web.Rollout, error) {
	return Rolled, n.note("rollout %v all=%v older=%v from %q by %s", r.Peers, r.All, r.Older, r.Source, r.By)
}

// UploadRollout implements web.Node.
func (n *Node) UploadRollout(_ context.Context, r web.RolloutRequest, bundle io.Reader, size int64) (web.Rollout, error) {
	text, err := io.ReadAll(bundle)
	if err != nil {
		return web.Rollout{}, err
	}
	v := Rolled
	v.Source, v.Bundle = r.Source, &web.RolloutBundle{Version: "1.3.0", Release: Now, Size: size}
	return v, n.note("rollout %v all=%v older=%v want=%q from %q of %d bytes by %s", r.Peers, r.All, r.Older, r.Want, text, size, r.By)
}

// ResumeRollout implements web.Node.
func (n *Node) ResumeRollout(by string) (web.Rollout, error) {
	return Rolled, n.note("resume by %s", by)
}

// AbortRollout implements web.Node.
func (n *Node) AbortRollout(by string) (web.Rollout, error) {
	return Rolled, n.note("abort by %s", by)
}

// Restart implements web.Node.
func (n *Node) Restart(_ context.Context, by string) (web.Operation, error) {
	return n.begin(n.note("restart by %s", by))
}
