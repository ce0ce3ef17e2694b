package web

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
)

// BackupType is the media type of backups: the age format has none that is registered.
const BackupType = "application/octet-stream"

// BackupRequest asks for a backup. It is a POST, so that the passphrase is in no address and in no log of addresses.
type BackupRequest struct {
	Passphrase string `json:"passphrase" minLength:"12" maxLength:"1024" doc:"Opens the backup again; nobody can without it"`
}

// backups registers the download of a backup. Restoring is for a terminal, as the daemon must not run then.
func (s *server) backups() {
	create := operation("create-backup", http.MethodPost, "/backup",
		"Encrypted backup of this peer: identity, keys, node file, users, tokens, addresses, the network's configuration", http.StatusUnprocessableEntity, http.StatusConflict, http.StatusServiceUnavailable)
	create.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		BackupType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}}
	huma.Register(s.api, create, func(_ context.Context, in *answer[BackupRequest]) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			c := humagin.Unwrap(ctx)
			s.backup(c.Writer, c.Request, in.Body.Passphrase)
		}}, nil
	})
}

// backup is made whole before it is sent, as half of one restores nothing. A peer has a few hundred kilobytes of state.
func (s *server) backup(w http.ResponseWriter, r *http.Request, passphrase string) {
	var b bytes.Buffer
	name, err := s.node.Backup(r.Context(), passphrase, &b)
	if err != nil {
		problem(w, status(err), "the backup was not made: "+err.Error())
		return
	}
	attach(w, BackupType, name, b.Bytes())
}

// attach answers with a file to be kept.
func attach(w http.ResponseWriter, kind, name string, content []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(content) // a client that is gone is not our business
}
