package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// answer is a response with a body.
type answer[T any] struct{ Body T }

// watch is the wish of every reading operation to be watched. Only the document needs it: watching has
// answered by the time that the operation would.
type watch struct {
	Watch bool `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
}

// reads registers everything that only looks.
func (s *server) reads() {
	read(s, "version", "What runs", s.node.Version)
	read(s, "status", "This peer at a glance", s.node.Status)
	list[Peer, PeerFilter](s, "peers", "All peers of the network, this one first", byPeer, certain(s.node.Peers))
	read(s, "links", "Connections to adjacent peers", s.node.Links)
	read(s, "routes", "How frames leave this peer", s.node.Routes)
	list[Port, PortFilter](s, "ports", "Attachments of this peer", byPort, certain(s.node.Ports))
	read(s, "segments", "Segments and who bridges them, the same on every peer", s.node.Segments)
	read(s, "voters", "The group that decides, and who of it answers", s.node.Voters)
	read(s, "loops", "Frames that come round, and between which ports", s.node.Loops)
	s.macs()
	list[Token, TokenFilter](s, "tokens", "Invitations, those that ended included", byCreation, s.node.Tokens, http.StatusServiceUnavailable)
}

// read registers GET name, which answers with what of returns.
func read[T any](s *server, name, summary string, of func() T) {
	huma.Register(s.api, operation("get-"+name, http.MethodGet, "/"+name, summary),
		func(context.Context, *watch) (*answer[T], error) { return &answer[T]{complete(of())}, nil })
	s.streamed("/" + name)
}

// operation describes one operation below base.
func operation(id, method, path, summary string, failures ...int) huma.Operation {
	if changes(method) && !slices.Contains(failures, http.StatusServiceUnavailable) {
		failures = append(failures, http.StatusServiceUnavailable) // who asks may not be known either while nothing can be decided
	}
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return huma.Operation{OperationID: id, Method: method, Path: base + path, Summary: summary, Tags: []string{tag}, Errors: failures}
}

// streamed adds to the document that GET path answers with events, too; watching does it.
func (s *server) streamed(path string) {
	ok := s.api.OpenAPI().Paths[base+path].Get.Responses["200"]
	ok.Content["text/event-stream"] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeString, Description: "Events of type \"change\" whose data is the JSON answer",
	}}
}
