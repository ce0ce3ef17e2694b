package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Mover moves segments between gateways on purpose. Any peer takes the request; what has to be done elsewhere is
// done there, and its progress is told here.
type Mover interface {
	// Switchover moves a segment to another gateway. It answers when the checks before it are done: with an
	// operation that is under way, or refused and says why.
	Switchover(ctx context.Context, segment string, r SwitchoverRequest) (Operation, error)
	// Maintain sends a gateway into maintenance, or back.
	Maintain(ctx context.Context, peer string, r MaintenanceRequest) (Operation, error)
	// Drill moves a segment there and back and measures what it cost.
	Drill(ctx context.Context, segment string, r DrillRequest) (Operation, error)
	// FlushEverywhere forgets on all peers, and counts what each peer forgot.
	FlushEverywhere(ctx context.Context, f MACFilter, by string) (Operation, error)

	Operations() []Operation // the newest first
	Drills() []DrillReport   // the newest first
	// Takeovers tells of every gateway of every segment whether it could take over, and how soon.
	Takeovers() []Takeover
}

// States of an operation.
const (
	OperationRunning = "running"
	OperationDone    = "done"
	OperationFailed  = "failed"
	OperationRefused = "refused" // nothing was done
)

// Operation is something that takes its time.
type Operation struct {
	ID       string          `json:"id" doc:"Sixteen hexadecimal digits"`
	Kind     string          `json:"kind" enum:"switchover,maintenance,drill,flush,update,install" doc:"What is being done"`
	Segment  string          `json:"segment,omitempty" doc:"Segment that it is about"`
	Peer     string          `json:"peer,omitempty" doc:"Peer that it is about"`
	From     string          `json:"from,omitempty" doc:"Gateway that gives the segment up"`
	To       string          `json:"to,omitempty" doc:"Gateway that takes it"`
	By       string          `json:"by,omitempty" doc:"Who asked"`
	Why      string          `json:"why,omitempty" doc:"What led to it, when nobody asked but a rule of the network"`
	DryRun   bool            `json:"dry_run,omitempty" doc:"Only looked whether it would work"`
	State    string          `json:"state" enum:"running,done,failed,refused" doc:"How it stands; refused: nothing was done"`
	Outcome  string          `json:"outcome,omitempty" doc:"What came of it, for people"`
	Started  time.Time       `json:"started" doc:"When it began"`
	Ended    *time.Time      `json:"ended,omitempty" doc:"When it ended"`
	Checks   []Check         `json:"checks" doc:"What was looked at before"`
	Steps    []Step          `json:"steps" doc:"What has been done so far"`
	Handover *HandoverResult `json:"handover,omitempty" doc:"What a switchover cost, as the gateways themselves counted"`
	Flushed  []FlushedAt     `json:"flushed" doc:"What each peer forgot"`
	Drill    *DrillReport    `json:"drill,omitempty" doc:"What a drill measured"`
	Progress *Progress       `json:"progress,omitempty" doc:"How far the present step of an update is"`
}

// Check is one thing that must be right, with its present value.
type Check struct {
	Name  string `json:"name" doc:"Stable name" example:"lease-round-trip"`
	Peer  string `json:"peer" doc:"Gateway at which it was looked at"`
	OK    bool   `json:"ok" doc:"Whether it is right"`
	Value string `json:"value" doc:"What was found"`
	Need  string `json:"need,omitempty" doc:"What it must be, when it is not"`
}

// Step is one thing that was done.
type Step struct {
	Name string       `json:"name" doc:"Stable name" example:"shut"`
	Time time.Time    `json:"time" doc:"When it was done"`
	At   Milliseconds `json:"at_ms" doc:"The same in milliseconds since the operation began"`
	Peer string       `json:"peer,omitempty" doc:"Who did it"`
	Text string       `json:"text" doc:"What it was, for people"`
}

// HandoverResult is what a switchover cost.
type HandoverResult struct {
	Epoch    string       `json:"epoch" doc:"Tenure of the new gateway; empty: the connection ended before it was told"`
	Pause    Milliseconds `json:"pause_ms" doc:"From the moment at which the old gateway began to hold frames until it heard that the new gate is open"`
	Handed   uint64       `json:"handed" doc:"Frames that the old gateway kept and handed over"`
	Kept     uint64       `json:"kept" doc:"Frames that the new gateway kept itself and forwarded"`
	Twice    uint64       `json:"twice" doc:"Frames that both had and that were forwarded once"`
	Dropped  uint64       `json:"dropped" doc:"Frames for which there was no room"`
	Buffered bool         `json:"buffered" doc:"Whether frames were kept meanwhile; not where the kernel carries the overlay"`
}

// SwitchoverRequest asks for a segment to be moved.
type SwitchoverRequest struct {
	To     string `json:"to,omitempty" doc:"Gateway to move it to; empty: the one that is ready soonest"`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only look whether it would work"`
	By     string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// MaintenanceRequest asks for a gateway to take no segments, or to take them again.
type MaintenanceRequest struct {
	On bool   `json:"on" doc:"true: give up all segments and take none; false: take part again"`
	By string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// FlushRequest asks for stations to be forgotten everywhere.
type FlushRequest struct {
	MACFilter
	By string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// FlushedAt is what one peer forgot.
type FlushedAt struct {
	Peer     string `json:"peer" doc:"Name of the peer"`
	Answered bool   `json:"answered" doc:"Whether it said that it has done so"`
	Count    int    `json:"count" doc:"Entries that it forgot"`
}

// DrillRequest asks for a rehearsal.
type DrillRequest struct {
	To string `json:"to,omitempty" doc:"Gateway to move it to and back from; empty: the one that is ready soonest"`
	By string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// DrillReport is what a rehearsal measured.
type DrillReport struct {
	ID      string     `json:"id" doc:"That of the operation"`
	Segment string     `json:"segment" doc:"Segment that was moved"`
	Time    time.Time  `json:"time" doc:"When it began"`
	By      string     `json:"by,omitempty" doc:"Who asked"`
	OK      bool       `json:"ok" doc:"Both ways succeeded, and nothing was doubled, out of order or lost, but for one gap each way, of a lease's term at most, where the kernel carries the overlay"`
	Skipped bool       `json:"skipped,omitempty" doc:"It was on schedule and was not begun: the outcome says why"`
	Outcome string     `json:"outcome" doc:"The same for people"`
	Legs    []DrillLeg `json:"legs" doc:"There and back"`
}

// DrillLeg is one way of a rehearsal.
type DrillLeg struct {
	From     string          `json:"from" doc:"Gateway that gave the segment up"`
	To       string          `json:"to" doc:"Gateway that took it"`
	Handover *HandoverResult `json:"handover,omitempty" doc:"What the gateways counted"`
	Probes   []DrillProbe    `json:"probes" doc:"What the probes found, by direction"`
}

// DrillProbe is what became of the probe frames of one direction.
type DrillProbe struct {
	Direction  string       `json:"direction" enum:"to-segment,from-segment" doc:"Which way they went through the gate"`
	Sent       int          `json:"sent" doc:"Probe frames that were sent, one each millisecond"`
	Lost       int          `json:"lost" doc:"That never arrived"`
	Gap        int          `json:"gap" doc:"The most of them on end"`
	Duplicated int          `json:"duplicated" doc:"Copies beyond the first"`
	Reordered  int          `json:"reordered" doc:"That arrived after a later one"`
	Silence    Milliseconds `json:"silence_ms" doc:"Longest time between two arrivals"`
}

// Takeover is how ready one gateway is to take a segment over.
type Takeover struct {
	Segment   string       `json:"segment" doc:"Name of the segment"`
	Peer      string       `json:"peer" doc:"Name of the gateway"`
	Active    bool         `json:"active" doc:"Its gate is open"`
	Cause     string       `json:"cause,omitempty" doc:"Why it is, as the whole chain of causes"`
	Ready     bool         `json:"ready" doc:"Every check passes"`
	Checks    []Check      `json:"checks" doc:"Each check with its present value"`
	Predicted Milliseconds `json:"predicted_ms" doc:"How long frames would stop if the active gateway died now, by the lease's timers and round trips; 0: unknown, or it is active"`
	Planned   Milliseconds `json:"planned_ms" doc:"How long they would be held by a switchover to it, by the last ones; 0: none yet"`
	Preempts  string       `json:"preempts,omitempty" doc:"With preempt: what the preferred gateway waits for before it takes the segment"`
	Preempted float64      `json:"preempted_s,omitempty" doc:"How long ago, in seconds, preempt last moved the segment, as far as this gateway knows; absent: not in the last five minutes"`
	Drilled   float64      `json:"drilled_s,omitempty" doc:"How long ago, in seconds, a drill on schedule was last begun or skipped, as far as this gateway knows"`
	Told      time.Time    `json:"told" doc:"When this was looked at"`
}

// moves registers what moves segments on purpose.
func (s *server) moves() {
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	began := func(id, path, summary string) huma.Operation {
		o := operation(id, http.MethodPost, path, summary, invalid, missing, conflict, later)
		o.DefaultStatus = http.StatusAccepted
		return o
	}
	type segmentRequest[T any] struct {
		Segment string `path:"segment" doc:"Name of the segment"`
		Body    T
	}
	type peerRequest[T any] struct {
		Name string `path:"name" doc:"Name of the peer"`
		Body T
	}
	huma.Register(s.api, began("switchover", "/segments/{segment}/switchover", "Move a segment to another gateway"),
		func(ctx context.Context, in *segmentRequest[SwitchoverRequest]) (*answer[Operation], error) {
			o, err := s.node.Switchover(ctx, in.Segment, in.Body)
			return &answer[Operation]{complete(o)}, s.refusal(err)
		})
	huma.Register(s.api, began("drill", "/segments/{segment}/drill", "Rehearse a switchover there and back, and measure it"),
		func(ctx context.Context, in *segmentRequest[DrillRequest]) (*answer[Operation], error) {
			o, err := s.node.Drill(ctx, in.Segment, in.Body)
			return &answer[Operation]{complete(o)}, s.refusal(err)
		})
	huma.Register(s.api, began("maintenance", "/peers/{name}/maintenance", "Send a gateway into maintenance, or back"),
		func(ctx context.Context, in *peerRequest[MaintenanceRequest]) (*answer[Operation], error) {
			o, err := s.node.Maintain(ctx, in.Name, in.Body)
			return &answer[Operation]{complete(o)}, s.refusal(err)
		})
	huma.Register(s.api, began("flush-everywhere", "/flush", "Forget where stations are, on all peers; an empty request forgets all"),
		func(ctx context.Context, in *answer[FlushRequest]) (*answer[Operation], error) {
			f, err := in.Body.canonical()
			if err != nil {
				return nil, s.refusal(err)
			}
			o, err := s.node.FlushEverywhere(ctx, f, in.Body.By)
			return &answer[Operation]{complete(o)}, s.refusal(err)
		})
	list[Operation, OperationFilter](s, "operations", "What takes its time, the newest first", byBeginning, certain(s.node.Operations))
	list[DrillReport, DrillFilter](s, "drills", "Reports of rehearsals, the newest first", byDrill, certain(s.node.Drills))
	read(s, "takeovers", "How ready every gateway is to take over, with each check's value", s.node.Takeovers)
	s.oneOperation()
}

// oneOperation registers GET /operations/{id}.
func (s *server) oneOperation() {
	type input struct {
		ID    string `path:"id" doc:"Sixteen hexadecimal digits of the operation"`
		Watch bool   `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
	}
	huma.Register(s.api, operation("get-operation", http.MethodGet, "/operations/{id}", "How an operation stands", http.StatusNotFound),
		func(_ context.Context, in *input) (*answer[Operation], error) {
			for _, o := range s.node.Operations() {
				if o.ID == in.ID {
					return &answer[Operation]{complete(o)}, nil
				}
			}
			return nil, huma.NewError(http.StatusNotFound, "operation "+in.ID+" does not exist: "+base+"/operations has those of this peer; of the run before it none is kept")
		})
	s.streamed("/operations/{id}")
}
