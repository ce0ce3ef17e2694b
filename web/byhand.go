package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Hand is the part of an operator, or of an external coordinator, in this peer's gate of a segment.
type Hand interface {
	// SegmentMode tells this peer's part in a segment.
	SegmentMode(segment string) (SegmentMode, error)
	// SetSegmentMode changes it until this peer stops.
	SetSegmentMode(ctx context.Context, segment string, r ModeRequest) (SegmentMode, error)
	// SegmentGate tells how this peer's gate stands.
	SegmentGate(segment string) (SegmentGate, error)
	// SetSegmentGate opens or shuts it, in mode active-manual.
	SetSegmentGate(ctx context.Context, segment string, r GateRequest) (SegmentGate, error)
}

// SegmentMode is one peer's part in a segment.
type SegmentMode struct {
	Segment    string    `json:"segment" doc:"Name of the segment"`
	Peer       string    `json:"peer" doc:"The peer that was asked: a mode is of one gateway"`
	Mode       string    `json:"mode" enum:"auto,passive,active-manual" doc:"auto: follows the voters. passive: never opens. active-manual: its gate is moved by hand, and ALONE may shut it"`
	Configured string    `json:"configured" enum:"auto,passive,active-manual" doc:"What the node file says: it counts again when the peer starts"`
	Network    string    `json:"network" enum:"auto,passive,active-manual" doc:"What the network configuration says of the segment; it counts for gateways in mode auto"`
	By         string    `json:"by,omitempty" doc:"Who set it"`
	Since      time.Time `json:"since" doc:"When"`
}

// ModeRequest sets a mode.
type ModeRequest struct {
	Mode string `json:"mode" enum:"auto,passive,active-manual" doc:"The mode; active-manual opens the gate as soon as ALONE has nothing against it"`
	By   string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// SegmentGate is one peer's gate of a segment.
type SegmentGate struct {
	Segment string       `json:"segment" doc:"Name of the segment"`
	Peer    string       `json:"peer" doc:"The peer that was asked"`
	Mode    string       `json:"mode" enum:"auto,passive,active-manual" doc:"Who moves the gate"`
	Open    bool         `json:"open" doc:"Whether frames pass now"`
	Epoch   string       `json:"epoch,omitempty" doc:"Tenure under which it is open, generation.ballot"`
	Since   time.Time    `json:"since" doc:"Since when"`
	Cause   string       `json:"cause" doc:"Why"`
	Left    Milliseconds `json:"left_ms" doc:"Until it shuts by itself unless somebody renews"`
	Kind    string       `json:"kind" doc:"hard: the kernel compares the deadline for every frame; soft: this process does"`
	Reasons []string     `json:"reasons" doc:"What the wire has against it"`
}

// GateRequest moves a gate.
type GateRequest struct {
	Open bool   `json:"open" doc:"true: open it as soon as ALONE has nothing against it; false: shut it"`
	By   string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// hands registers modes and gates.
func (s *server) hands() {
	const invalid, missing, conflict = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict
	type one struct {
		Segment string `path:"segment" doc:"Name of the segment"`
	}
	type with[T any] struct {
		Segment string `path:"segment" doc:"Name of the segment"`
		Body    T
	}
	huma.Register(s.api, operation("get-segment-mode", http.MethodGet, "/segments/{segment}/mode", "This peer's part in a segment", missing, conflict),
		func(_ context.Context, in *one) (*answer[SegmentMode], error) {
			m, err := s.node.SegmentMode(in.Segment)
			return &answer[SegmentMode]{m}, s.refusal(err)
		})
	huma.Register(s.api, operation("set-segment-mode", http.MethodPost, "/segments/{segment}/mode", "Change this peer's part in a segment until it stops", invalid, missing, conflict),
		func(ctx context.Context, in *with[ModeRequest]) (*answer[SegmentMode], error) {
			m, err := s.node.SetSegmentMode(ctx, in.Segment, in.Body)
			return &answer[SegmentMode]{m}, s.refusal(err)
		})
	huma.Register(s.api, operation("get-segment-gate", http.MethodGet, "/segments/{segment}/gate", "How this peer's gate of a segment stands", missing, conflict),
		func(_ context.Context, in *one) (*answer[SegmentGate], error) {
			g, err := s.node.SegmentGate(in.Segment)
			return &answer[SegmentGate]{g}, s.refusal(err)
		})
	huma.Register(s.api, operation("set-segment-gate", http.MethodPost, "/segments/{segment}/gate", "Open or shut this peer's gate by hand, in mode active-manual", invalid, missing, conflict),
		func(ctx context.Context, in *with[GateRequest]) (*answer[SegmentGate], error) {
			g, err := s.node.SetSegmentGate(ctx, in.Segment, in.Body)
			return &answer[SegmentGate]{g}, s.refusal(err)
		})
}
