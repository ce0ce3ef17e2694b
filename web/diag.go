package web

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/prometheus/common/expfmt"
)

// BundleType is the media type of diagnostics bundles: a tar archive, compressed by gzip.
const BundleType = "application/gzip"

// Metrics are what GET /metrics answers, as text.
func Metrics(node Node) ([]byte, error) {
	families, err := registry(node).Gather()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), err
}

// diagnostics registers the download of the bundle.
func (s *server) diagnostics() {
	diag := operation("get-diag", http.MethodGet, "/diag",
		"Diagnostics bundle of this peer, a tar.gz: state, configuration, events, metrics, goroutines and a check of the host, without keys, tokens and passwords; README.txt in it lists both", http.StatusServiceUnavailable)
	diag.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		BundleType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}}
	huma.Register(s.api, diag, func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			c := humagin.Unwrap(ctx)
			s.bundle(c.Writer, c.Request)
		}}, nil
	})
}

// bundle is made whole before it is sent, so that what goes wrong is told as a problem and not as half an archive. It has
// a megabyte or two.
func (s *server) bundle(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	name, err := s.node.Diagnose(r.Context(), &b)
	if err != nil {
		problem(w, status(err), "the bundle was not made: "+err.Error())
		return
	}
	attach(w, BundleType, name, b.Bytes())
}
