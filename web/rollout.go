package web

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// Roller brings new software to the peers one after the other. The peer that is asked to start coordinates it, and everybody knows of it.
type Roller interface {
	Rollout() (Rollout, error) // the first of Rollouts; ErrNotFound: there is none
	Rollouts() []Rollout       // of all peers
	StartRollout(ctx context.Context, r RolloutRequest) (Rollout, error)
	// UploadRollout keeps a bundle of size bytes (below zero: unknown) for the peers of a roll-out, and begins that.
	UploadRollout(ctx context.Context, r RolloutRequest, bundle io.Reader, size int64) (Rollout, error)
	ResumeRollout(by string) (Rollout, error)
	AbortRollout(by string) (Rollout, error)
	// Restart ends this peer's daemon in order and starts it again.
	Restart(ctx context.Context, by string) (Operation, error)
}

// Where the peers of a roll-out take the software from, beside an https address.
const (
	SourceRestart = "restart" // what is on their disks, because a package was upgraded, or only the node file changed
	SourceUpload  = "upload"  // the coordinator sends each the bundle that it was given
)

// Rollout is a rolling update, present or last.
type Rollout struct {
	ID          string         `json:"id" doc:"Sixteen hexadecimal digits"`
	Coordinator string         `json:"coordinator" doc:"Peer that carries it out"`
	Here        bool           `json:"here" doc:"Whether that is this peer; if not, all this is as the coordinator told last"`
	AgeS        float64        `json:"age_s,omitempty" doc:"Seconds since the coordinator told, when this peer does not coordinate it"`
	Silent      bool           `json:"silent,omitempty" doc:"The coordinator has told nothing for 10 s although it is not over: how it stands is not known"`
	Remedy      string         `json:"remedy,omitempty" doc:"What to do when the coordinator is silent"`
	LeftOut     int            `json:"left_out,omitempty" doc:"Peers that are not listed because the coordinator could not tell of so many"`
	By          string         `json:"by,omitempty" doc:"Who asked"`
	Source      string         `json:"source" doc:"Where peers take the software from; restart: what is on their disks; upload: the coordinator sends it; or the https address of a bundle"`
	Bundle      *RolloutBundle `json:"bundle,omitempty" doc:"What the coordinator sends, if the source is upload"`
	Older       bool           `json:"older,omitempty" doc:"Also a release that is not newer than what a peer runs"`
	Want        string         `json:"want,omitempty" doc:"Version that every peer must run afterwards; empty: whatever it has then"`
	State       string         `json:"state" enum:"running,paused,aborted,done" doc:"How it stands"`
	Reason      string         `json:"reason,omitempty" doc:"Why it is paused or aborted"`
	Waits       string         `json:"waits,omitempty" doc:"What it waits for"`
	Started     time.Time      `json:"started" doc:"When it began"`
	Ended       *time.Time     `json:"ended,omitempty" doc:"When it ended"`
	Peers       []RolloutPeer  `json:"peers" doc:"Those that are updated"`
	Log         []RolloutLine  `json:"log" doc:"What happened, the oldest first"`
}

// Over reports whether nothing will happen in it any more.
func (r *Rollout) Over() bool { return r.State == "done" || r.State == "aborted" }

// RolloutBundle is a bundle that was uploaded for a roll-out, as it says itself.
type RolloutBundle struct {
	Version string    `json:"version" doc:"Version of the software in it"`
	Release time.Time `json:"release" doc:"When its release was made"`
	Size    int64     `json:"size" doc:"Bytes"`
}

// RolloutPeer is one of the peers that are updated.
type RolloutPeer struct {
	Name  string    `json:"name" doc:"Name of the peer"`
	Step  string    `json:"step" enum:"waiting,check,move,update,return,verify,updated" doc:"How far it is"`
	Since time.Time `json:"since" doc:"Since when"`
	From  string    `json:"from,omitempty" doc:"Version before"`
	To    string    `json:"to,omitempty" doc:"Version after"`
}

// RolloutLine is something that happened.
type RolloutLine struct {
	Time time.Time `json:"time" doc:"When"`
	Peer string    `json:"peer,omitempty" doc:"Where"`
	Text string    `json:"text" doc:"What, for people"`
}

// RolloutRequest begins one.
type RolloutRequest struct {
	Peers  []string `json:"peers,omitempty" doc:"Peers to update; empty: all gateways"`
	All    bool     `json:"all,omitempty" doc:"Every peer that is reached, not gateways only"`
	Source string   `json:"source,omitempty" doc:"restart (the default): what is on the disks; or the https address of a bundle for appliances"`
	Older  bool     `json:"older,omitempty" doc:"Also a release that is not newer than what a peer runs; for bundles"`
	Want   string   `json:"want,omitempty" doc:"Version that every peer must run afterwards; empty: whatever is on the disks"`
	By     string   `json:"by,omitempty" doc:"Who asks, for the record"`
}

// rolloutInput is a request whose body is the bundle.
type rolloutInput struct {
	bundleInput
	Peers []string `query:"peer,explode" maxItems:"4096" doc:"Peers to update; none: all gateways"`
	All   bool     `query:"all" doc:"Every peer that is reached, not gateways only"`
	Older bool     `query:"older" doc:"Also a release that is not newer than what a peer runs"`
	Want  string   `query:"want" doc:"Version that every peer must run afterwards; empty: whatever it has then"`
	By    string   `query:"by" maxLength:"128" doc:"Who asks, for the record"`
}

// ByRequest says who asks.
type ByRequest struct {
	By string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// rollouts registers rolling updates.
func (s *server) rollouts() {
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	type out = answer[Rollout]
	give := func(r Rollout, err error) (*out, error) {
		return &out{complete(r)}, s.refusal(err)
	}
	huma.Register(s.api, operation("get-rollout", http.MethodGet, "/rollout", "The rolling update that goes on, whichever peer coordinates it, or the last one", missing),
		func(context.Context, *struct{}) (*out, error) { return give(s.node.Rollout()) })
	read(s, "rollouts", "The roll-outs that are known, one for each peer that coordinates or coordinated one: what goes on first", s.node.Rollouts)
	start := operation("start-rollout", http.MethodPost, "/rollout", "Update peers one after the other: passive gateways first, a planned switchover before an active one", invalid, missing, conflict, later)
	start.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, start, func(ctx context.Context, in *answer[RolloutRequest]) (*out, error) {
		in.Body.By = author(ctx, in.Body.By)
		return give(s.node.StartRollout(ctx, in.Body))
	})
	upload := takesBundle(operation("upload-rollout", http.MethodPost, "/rollout/bundle", "Update appliances one after the other by a signed bundle, the body of the request, which the peer that is asked keeps and sends to each", invalid, missing, conflict, later))
	huma.Register(s.api, upload, func(ctx context.Context, in *rolloutInput) (*out, error) {
		r := RolloutRequest{Peers: in.Peers, All: in.All, Source: SourceUpload, Older: in.Older, Want: in.Want, By: author(ctx, in.By)}
		access.Note(ctx, nil, r)
		bundle, size := in.bundle()
		return give(s.node.UploadRollout(ctx, r, bundle, size))
	})
	huma.Register(s.api, operation("resume-rollout", http.MethodPost, "/rollout/resume", "Go on with a rolling update that is paused; the peer that coordinates it is asked", missing, conflict),
		func(ctx context.Context, in *answer[ByRequest]) (*out, error) {
			return give(s.node.ResumeRollout(author(ctx, in.Body.By)))
		})
	huma.Register(s.api, operation("abort-rollout", http.MethodPost, "/rollout/abort", "End a rolling update; the peer that coordinates it is asked, and peers that are updated stay so", missing, conflict),
		func(ctx context.Context, in *answer[ByRequest]) (*out, error) {
			return give(s.node.AbortRollout(author(ctx, in.Body.By)))
		})
	again := operation("restart", http.MethodPost, "/restart", "Start this peer's daemon again; its segments are handed over first", conflict)
	again.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, again, func(ctx context.Context, in *answer[ByRequest]) (*answer[Operation], error) {
		o, err := s.node.Restart(ctx, author(ctx, in.Body.By))
		return &answer[Operation]{complete(o)}, s.refusal(err)
	})
}
