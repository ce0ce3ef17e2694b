package web

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// Updater brings a signed bundle into the idle slot of an appliance: this peer's, or another's that is reached.
type Updater interface {
	Update(ctx context.Context) (Update, error)
	// UploadUpdate keeps a bundle of size bytes (below zero: unknown) and answers with the operation that installs it.
	UploadUpdate(ctx context.Context, r UpdateRequest, bundle io.Reader, size int64) (Operation, error)
	FetchUpdate(ctx context.Context, r FetchRequest) (Operation, error)
	RollbackUpdate(ctx context.Context, by string) (Update, error)
	// RestartMachine starts the machine again, in order: segments are handed over first.
	RestartMachine(ctx context.Context, by string) error
	// FactoryReset makes the state of this appliance anew, of which nothing is kept.
	FactoryReset(ctx context.Context, r ResetRequest) (Reset, error)
}

// UpdateType is the media type of a bundle.
const UpdateType = "application/octet-stream"

// Update is what is in the slots of an appliance.
type Update struct {
	Appliance bool         `json:"appliance" doc:"Whether this peer runs the appliance image and can be updated here"`
	Reason    string       `json:"reason,omitempty" doc:"Why not, and what to do instead"`
	Running   string       `json:"running,omitempty" doc:"Slot that runs"`
	Next      string       `json:"next,omitempty" doc:"Slot that starts next"`
	Slots     []UpdateSlot `json:"slots" doc:"Both slots"`
	Failure   string       `json:"failure,omitempty" doc:"Why the last update was given up"`
}

// UpdateSlot is one of the two.
type UpdateSlot struct {
	Name     string     `json:"name" enum:"a,b" doc:"Name of the slot"`
	Release  *time.Time `json:"release,omitempty" doc:"When its release was made; nothing: the slot is empty"`
	Standing string     `json:"standing" enum:"empty,good,trial,failed" doc:"good: it was healthy once; trial: it has yet to show that it is; failed: it never became healthy"`
}

// UpdateRequest says where to and how.
type UpdateRequest struct {
	Peer    string `json:"peer,omitempty" doc:"Appliance to update; empty: this one"`
	Older   bool   `json:"older,omitempty" doc:"Also a release that is not newer than what runs"`
	Restart bool   `json:"restart,omitempty" doc:"Start the machine again afterwards; its segments are handed over first"`
	By      string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// FetchRequest has a peer fetch the bundle itself.
type FetchRequest struct {
	UpdateRequest
	URL string `json:"url" minLength:"9" maxLength:"2048" doc:"Where the bundle is; https only" example:"https://example.net/drawbridge-virt.bundle"`
}

// Progress is how far the present step of an operation is.
type Progress struct {
	Step  string `json:"step" doc:"Stable name" example:"write"`
	Done  int64  `json:"done" doc:"Bytes that are done"`
	Total int64  `json:"total" doc:"Bytes in all; 0: unknown"`
}

// bundleInput leaves the body where it is: a bundle has a hundred megabytes, and goes to the disk as it comes.
type bundleInput struct{ request huma.Context }

// Resolve implements huma.Resolver.
func (in *bundleInput) Resolve(ctx huma.Context) []error {
	in.request = ctx
	return nil
}

// bundle is the body, of so many bytes; below zero: nobody knows.
func (in *bundleInput) bundle() (io.Reader, int64) {
	c := humagin.Unwrap(in.request)
	return patient{c.Request.Body, http.NewResponseController(c.Writer)}, c.Request.ContentLength
}

// takesBundle describes that the body is one, and that what is asked for is only begun.
func takesBundle(o huma.Operation) huma.Operation {
	o.DefaultStatus = http.StatusAccepted
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		UpdateType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}
	return o
}

// uploadInput is a request whose body is the bundle.
type uploadInput struct {
	bundleInput
	Peer    string `query:"peer" doc:"Appliance to update; empty: this one"`
	Older   bool   `query:"older" doc:"Also a release that is not newer than what runs"`
	Restart bool   `query:"restart" doc:"Start the machine again afterwards; its segments are handed over first"`
	By      string `query:"by" maxLength:"128" doc:"Who asks, for the record"`
}

// updates registers what an appliance is updated by.
func (s *server) updates() {
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	type out = answer[Update]
	give := func(u Update, err error) (*out, error) { return &out{complete(u)}, s.refusal(err) }
	huma.Register(s.api, operation("get-update", http.MethodGet, "/update", "What is in the slots of this appliance, and which starts next", later),
		func(ctx context.Context, _ *struct{}) (*out, error) { return give(s.node.Update(ctx)) })

	upload := takesBundle(operation("upload-update", http.MethodPost, "/update/bundle", "Install a signed bundle, the body of the request, in the idle slot of an appliance", invalid, missing, conflict, later))
	huma.Register(s.api, upload, func(ctx context.Context, in *uploadInput) (*answer[Operation], error) {
		r := UpdateRequest{Peer: in.Peer, Older: in.Older, Restart: in.Restart, By: author(ctx, in.By)}
		access.Note(ctx, nil, r)
		bundle, size := in.bundle()
		o, err := s.node.UploadUpdate(ctx, r, bundle, size)
		return &answer[Operation]{complete(o)}, s.refusal(err)
	})
	fetch := operation("fetch-update", http.MethodPost, "/update/fetch", "Have an appliance fetch a signed bundle and install it in its idle slot", invalid, missing, conflict, later)
	fetch.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, fetch, func(ctx context.Context, in *answer[FetchRequest]) (*answer[Operation], error) {
		in.Body.By = author(ctx, in.Body.By)
		o, err := s.node.FetchUpdate(ctx, in.Body)
		return &answer[Operation]{complete(o)}, s.refusal(err)
	})
	huma.Register(s.api, operation("rollback-update", http.MethodPost, "/update/rollback", "Start the other slot from now on", conflict, later),
		func(ctx context.Context, in *answer[ByRequest]) (*out, error) {
			return give(s.node.RollbackUpdate(ctx, author(ctx, in.Body.By)))
		})
	again := operation("restart-machine", http.MethodPost, "/update/restart", "Start this appliance's machine again; its segments are handed over first", conflict)
	again.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, again, func(ctx context.Context, in *answer[ByRequest]) (*struct{}, error) {
		return nil, s.refusal(s.node.RestartMachine(ctx, author(ctx, in.Body.By)))
	})
}

// uploadPause is how long an upload may stand still.
const uploadPause = time.Minute

// patient reads a body as long as something comes.
type patient struct {
	io.Reader
	c *http.ResponseController
}

func (p patient) Read(b []byte) (int, error) {
	_ = p.c.SetReadDeadline(time.Now().Add(uploadPause)) // a recorder in a test has none
	return p.Reader.Read(b)
}
