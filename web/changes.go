package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// changes registers everything that acts.
func (s *server) changes() {
	type named struct {
		Name string `path:"name" doc:"Name of the peer"`
	}
	type portRequest struct {
		Name string `path:"name" doc:"Name of the port"`
		Body ClearRequest
	}
	type numbered struct {
		ID string `path:"id" doc:"Ten hexadecimal digits of the token"`
	}
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable

	create := operation("create-token", http.MethodPost, "/tokens", "Invite a peer", invalid, conflict, later)
	create.DefaultStatus = http.StatusCreated
	huma.Register(s.api, create, func(ctx context.Context, in *answer[TokenRequest]) (*answer[NewToken], error) {
		token, err := s.node.CreateToken(ctx, in.Body)
		return &answer[NewToken]{complete(token)}, s.refusal(err)
	})
	huma.Register(s.api, operation("revoke-token", http.MethodDelete, "/tokens/{id}", "Make a token useless; peers that joined by it stay", invalid, missing, later),
		func(ctx context.Context, in *numbered) (*struct{}, error) {
			return nil, s.refusal(s.node.RevokeToken(ctx, in.ID))
		})
	huma.Register(s.api, operation("forget-peer", http.MethodDelete, "/peers/{name}", "Remove a peer from the network for good", missing, conflict, later),
		func(ctx context.Context, in *named) (*struct{}, error) {
			return nil, s.refusal(s.node.Forget(ctx, in.Name))
		})
	huma.Register(s.api, operation("flush-macs", http.MethodPost, "/macs/flush", "Forget where stations are; an empty request forgets all", invalid),
		func(ctx context.Context, in *answer[Flush]) (*answer[Flushed], error) {
			f, err := in.Body.canonical()
			if err != nil {
				return nil, s.refusal(err)
			}
			n, err := s.node.FlushMACs(ctx, f, in.Body.Everywhere)
			return &answer[Flushed]{Flushed{n}}, s.refusal(err)
		})
	huma.Register(s.api, operation("clear-port", http.MethodPost, "/ports/{name}/clear", "Let a port listen again that ALONE blocked; what is still on the wire blocks it again", invalid, missing, conflict),
		func(ctx context.Context, in *portRequest) (*struct{}, error) {
			return nil, s.refusal(s.node.ClearPort(ctx, in.Name, author(ctx, in.Body.By)))
		})
}
