package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// AddressExport is which addresses are to be written to a file, and how.
type AddressExport struct {
	Format  string // csv or json
	Partial bool   // also when some peers do not answer
}

// AddressImport is what an import did, or would do.
type AddressImport struct {
	Given []ImportedAddress `json:"given" doc:"Addresses that are given now, or would be"`
	Same  int               `json:"same" doc:"Lines whose owner has the address already"`
	Left  int               `json:"left" doc:"Lines that are left out: addresses that nobody has (lent, foreign), and those whose time is over"`
}

// ImportedAddress is a line of a file.
type ImportedAddress struct {
	Line    int        `json:"line" doc:"In the file, from 1"`
	Address string     `json:"address" doc:"The address"`
	Owner   string     `json:"owner" doc:"Who has it"`
	Until   *time.Time `json:"until,omitempty" doc:"When it becomes free by itself"`
	At      string     `json:"at" doc:"Peer that gives it"`
}

// InvalidImport is a file of which nothing is given, and why.
type InvalidImport []ImportProblem

// ImportProblem is one thing that is wrong with a file.
type ImportProblem struct {
	Line int    `json:"line"` // from 1; 0: the whole file
	Text string `json:"text"`
}

// Error names the first problem.
func (e InvalidImport) Error() string {
	switch {
	case len(e) == 0:
		return "nothing was imported"
	case e[0].Line == 0:
		return "nothing was imported: " + e[0].Text
	}
	return fmt.Sprintf("nothing was imported: line %d: %s (%s)", e[0].Line, e[0].Text, drawbridge.Counted(len(e), "problem"))
}

// Unwrap makes it a request that is not valid.
func (e InvalidImport) Unwrap() error { return ErrInvalid }

// Bounds of an import: a line has about forty octets, and so many problems are enough to know what a file suffers from.
const (
	maxImport      = 16 << 20
	shownProblems  = 25
	importPatience = 30 * time.Second // of a slow connection
)

// importRefusal tells every problem of a file apart.
func (s *server) importRefusal(err error) error {
	invalid, ok := errors.AsType[InvalidImport](err)
	if !ok {
		return s.refusal(err)
	}
	details := make([]error, 0, shownProblems)
	for _, p := range invalid[:min(len(invalid), shownProblems)] {
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf("line %d", p.Line)
		}
		details = append(details, &huma.ErrorDetail{Message: p.Text, Location: where})
	}
	if more := len(invalid) - len(details); more > 0 {
		details = append(details, &huma.ErrorDetail{Message: "and " + drawbridge.Counted(more, "more problem")})
	}
	return huma.NewError(http.StatusUnprocessableEntity, "nothing was imported", details...)
}

// addressFiles registers export and import.
func (s *server) addressFiles() {
	const invalid, conflict, later = http.StatusUnprocessableEntity, http.StatusConflict, http.StatusServiceUnavailable
	type export struct {
		Format  string `query:"format" enum:"csv,json" default:"csv" doc:"csv for people, json for programs"`
		Partial bool   `query:"partial" doc:"Also when some peers do not answer, whose addresses are then missing"`
	}
	type file struct {
		ContentType string `header:"Content-Type"`
		Disposition string `header:"Content-Disposition" doc:"A name for the file"`
		Body        []byte
	}
	o := operation("export-addresses", http.MethodGet, "/ipam/export", "Addresses of all peers that guests have, as a file", later)
	o.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
		"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}, "application/json": {Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject}}},
	}}}
	huma.Register(s.api, o, func(ctx context.Context, in *export) (*file, error) {
		text, err := s.node.ExportAddresses(ctx, AddressExport{in.Format, in.Partial})
		kind := map[string]string{"csv": "text/csv; charset=utf-8", "json": "application/json"}[in.Format]
		return &file{kind, fmt.Sprintf("attachment; filename=\"addresses.%s\"", in.Format), text}, s.refusal(err)
	})
	type bringIn struct {
		DryRun  bool   `query:"dry_run" doc:"Only say what would be done"`
		RawBody []byte `contentType:"text/plain"`
	}
	o = operation("import-addresses", http.MethodPost, "/ipam/import",
		"Give all addresses of a file (CSV or JSON, with at least address and owner), or none if anything is wrong with it", invalid, conflict, later)
	o.MaxBodyBytes, o.BodyReadTimeout = maxImport, importPatience
	huma.Register(s.api, o, func(ctx context.Context, in *bringIn) (*answer[AddressImport], error) {
		out, err := s.node.ImportAddresses(ctx, in.RawBody, in.DryRun)
		return &answer[AddressImport]{complete(out)}, s.importRefusal(err)
	})
}
