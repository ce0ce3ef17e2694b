package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// Configurer keeps the network configuration, the same for all peers. Any peer takes a change; what a peer cannot decide
// itself it has decided elsewhere. Version 0 stands for the newest; before the first there is one numbered 0, with the
// defaults.
type Configurer interface {
	ConfigVersion(ctx context.Context, number uint64) (ConfigVersion, error)
	// ConfigVersions are at most limit versions below a number (0: all), the newest first, without documents.
	ConfigVersions(ctx context.Context, below uint64, limit int) (ConfigHistory, error)
	// CheckConfig tells what is wrong with a document and what it would change. It changes nothing.
	CheckConfig(ctx context.Context, text string) (ConfigCheck, error)
	DiffConfig(ctx context.Context, from, to uint64) (ConfigDiff, error)
	// ExportConfig is a document as text, in the form toml or json.
	ExportConfig(ctx context.Context, number uint64, form string) (string, error)

	ChangeConfig(context.Context, ConfigProposal) (ConfigVersion, error)
	ConfirmConfig(ctx context.Context, number uint64, by string) (ConfigVersion, error)
	RollbackConfig(context.Context, ConfigProposal) (ConfigVersion, error)

	// ConfigApplied tells which peers go by a version.
	ConfigApplied(number uint64) ConfigApplied
}

// ErrStale says that a change is based on something that is no longer the newest: 412.
var ErrStale = errors.New("changed meanwhile")

// ConfigProposal is a change that is asked for.
type ConfigProposal struct {
	Base    uint64        // the version that it is based on
	Any     bool          // whatever is the newest is the base
	Text    string        // a document as TOML or JSON
	To      uint64        // of a rollback: the version to go back to
	Comment string        // why
	By      string        // who
	Key     string        // asked again with the same key it is done once; empty: no matter
	Within  time.Duration // it is reverted unless confirmed in this time; 0: no
}

// InvalidConfig is a document with something wrong in it.
type InvalidConfig []ConfigProblem

// Error names the first problem.
func (e InvalidConfig) Error() string {
	if len(e) == 0 {
		return "the configuration is not valid"
	}
	text := e[0].text()
	if len(e) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(e)-1)
	}
	return text
}

// Unwrap makes it a request that is not valid.
func (e InvalidConfig) Unwrap() error { return ErrInvalid }

// ConfigProblem is one thing that is wrong with a document.
type ConfigProblem struct {
	Line    int    `json:"line,omitempty" doc:"Line in the text, from 1; left out when there is none"`
	Column  int    `json:"column,omitempty" doc:"Column in the line, from 1"`
	Setting string `json:"setting,omitempty" doc:"Setting that it is about" example:"segment[1].overlay"`
	Text    string `json:"text" doc:"What is wrong and what is allowed"`
}

func (p ConfigProblem) text() string {
	if p.Setting == "" {
		return p.Text
	}
	return p.Setting + ": " + p.Text
}

// States of a version.
const (
	ConfigCurrent    = "current"
	ConfigWaiting    = "waiting"
	ConfigReverted   = "reverted"
	ConfigSuperseded = "superseded"
)

// ConfigVersion is one version of the network configuration.
type ConfigVersion struct {
	Version   uint64          `json:"version" doc:"Its number; 0: nothing was configured yet, and the defaults hold"`
	Parent    uint64          `json:"parent" doc:"The version that it followed; 0: none"`
	Of        uint64          `json:"of,omitempty" doc:"The earlier version whose document it has again: it is a rollback or a revert"`
	State     string          `json:"state" enum:"current,waiting,reverted,superseded" doc:"waiting: it is in force, and goes unless it is confirmed in time"`
	Author    string          `json:"author,omitempty" doc:"Who asked for it, and on which peer"`
	Time      time.Time       `json:"time" doc:"When it was asked for"`
	Comment   string          `json:"comment,omitempty" doc:"Why"`
	ConfirmS  float64         `json:"confirm_s,omitempty" doc:"Seconds in which it had to be confirmed; left out: it never had"`
	ConfirmBy *time.Time      `json:"confirm_by,omitempty" doc:"Until when it must be confirmed"`
	Settled   *time.Time      `json:"settled,omitempty" doc:"When it was confirmed or reverted"`
	SettledBy string          `json:"settled_by,omitempty" doc:"Who confirmed or reverted it"`
	Document  json.RawMessage `json:"document,omitempty" doc:"The configuration, as docs/reference/network-config.md describes it; left out in lists"`
}

// ConfigHistory is versions, the newest first.
type ConfigHistory struct {
	Newest   uint64          `json:"newest" doc:"Number of the version in force; 0: none"`
	Oldest   uint64          `json:"oldest" doc:"Number of the oldest that is kept; 0: none"`
	Gone     uint64          `json:"gone" doc:"How many numbers below that are not kept any more"`
	Versions []ConfigVersion `json:"versions" doc:"The newest first, without documents"`
}

// ConfigSetting is one setting that differs.
type ConfigSetting struct {
	Setting string `json:"setting" doc:"Its path; elements of lists go by their name" example:"segment[office].preferred"`
	Before  string `json:"before" doc:"Its value before; empty: it was not there"`
	After   string `json:"after" doc:"Its value after; empty: it is gone"`
}

// ConfigDiff is how two versions differ.
type ConfigDiff struct {
	From    uint64          `json:"from" doc:"The one version"`
	To      uint64          `json:"to" doc:"The other version"`
	Changes []ConfigSetting `json:"changes" doc:"What differs, in order of path"`
	Unified string          `json:"unified" doc:"The same as diff -u of the TOML forms; empty: nothing"`
}

// ConfigCheck is what would come of a document.
type ConfigCheck struct {
	OK       bool            `json:"ok" doc:"It can be applied"`
	Base     uint64          `json:"base" doc:"The version that it was compared to"`
	Problems []ConfigProblem `json:"problems" doc:"What is wrong with it, all of it"`
	Changes  []ConfigSetting `json:"changes" doc:"What it would change"`
	Unified  string          `json:"unified" doc:"The same as diff -u of the TOML forms; empty: nothing"`
}

// How a peer stands to a version.
const (
	AppliedYes     = "applied"
	AppliedBehind  = "behind"
	AppliedRefused = "refused"
	AppliedSilent  = "silent"
	AppliedAway    = "away"
)

// ConfigApplied says who goes by a version.
type ConfigApplied struct {
	Version  uint64        `json:"version" doc:"The version asked about"`
	Complete bool          `json:"complete" doc:"Every peer that is alive goes by it, or by a newer one"`
	Peers    []AppliedPeer `json:"peers" doc:"All peers of the network, those first that are waited for"`
}

// AppliedPeer is one peer's standing.
type AppliedPeer struct {
	Peer    string     `json:"peer" doc:"Name of the peer"`
	State   string     `json:"state" enum:"applied,behind,refused,silent,away" doc:"behind: has not got so far; refused: cannot apply it and keeps the last good one; silent: it does not answer and is waited for; away: it has not answered for a minute, and catches up before it acts"`
	Version uint64     `json:"version" doc:"The version that it goes by, as far as is known here"`
	Reason  string     `json:"reason,omitempty" doc:"Why it does not go by the version asked about"`
	Since   *time.Time `json:"since,omitempty" doc:"Since when it says so, or is silent"`
}

// Inputs of the operations. huma reads them from their tags.
type (
	putConfig struct {
		IfMatch string `header:"If-Match" doc:"The ETag of the version that the change is based on; * for whatever is the newest"`
		Key     string `header:"Idempotency-Key" maxLength:"128" doc:"Asked again with the same key, it is done once"`
		Body    ConfigChange
	}
	importConfig struct {
		IfMatch  string  `header:"If-Match" doc:"The ETag of the version that the change is based on; * for whatever is the newest"`
		Key      string  `header:"Idempotency-Key" maxLength:"128" doc:"Asked again with the same key, it is done once"`
		Comment  string  `query:"comment" maxLength:"256" doc:"Why"`
		By       string  `query:"by" maxLength:"128" doc:"Who asks, for the record"`
		ConfirmS float64 `query:"confirm_s" minimum:"0" maximum:"86400" doc:"Seconds in which it must be confirmed, or it is reverted everywhere; 0: it need not"`
		RawBody  []byte  `contentType:"text/plain"`
	}
	rollbackConfig struct {
		IfMatch string `header:"If-Match" doc:"The ETag of the newest version; * for whatever it is"`
		Key     string `header:"Idempotency-Key" maxLength:"128" doc:"Asked again with the same key, it is done once"`
		Body    ConfigRollback
	}
	configAnswer struct {
		ETag string `header:"ETag" doc:"The number of the version, for If-Match"`
		Body ConfigVersion
	}
	numberedConfig struct {
		Number uint64 `path:"n" doc:"Number of the version; 0: the newest"`
	}
)

// ConfigChange is a new configuration.
type ConfigChange struct {
	Document json.RawMessage `json:"document,omitempty" doc:"The whole configuration; or text"`
	Text     string          `json:"text,omitempty" maxLength:"262144" doc:"The same as TOML or JSON text: problems are then told by line and column"`
	Comment  string          `json:"comment,omitempty" maxLength:"256" doc:"Why"`
	By       string          `json:"by,omitempty" maxLength:"128" doc:"Who asks, for the record"`
	ConfirmS float64         `json:"confirm_s,omitempty" minimum:"0" maximum:"86400" doc:"Seconds in which it must be confirmed, or it is reverted everywhere; 0: it need not"`
}

// text is the document that is meant.
func (c ConfigChange) text() (string, error) {
	if (len(c.Document) > 0) == (c.Text != "") {
		return "", fmt.Errorf("%w: want one of document and text", ErrInvalid)
	}
	if c.Text != "" {
		return c.Text, nil
	}
	return string(c.Document), nil
}

// ConfigRollback goes back to an earlier version.
type ConfigRollback struct {
	To       uint64  `json:"to" minimum:"1" doc:"The version to go back to; its document becomes a new version"`
	Comment  string  `json:"comment,omitempty" maxLength:"256" doc:"Why"`
	By       string  `json:"by,omitempty" maxLength:"128" doc:"Who asks, for the record"`
	ConfirmS float64 `json:"confirm_s,omitempty" minimum:"0" maximum:"86400" doc:"Seconds in which it must be confirmed, or it is reverted everywhere; 0: it need not. While another version waits to be confirmed, only 0 is taken"`
}

// ConfigConfirm keeps a version.
type ConfigConfirm struct {
	By string `json:"by,omitempty" maxLength:"128" doc:"Who confirms, for the record"`
}

// baseOf reads If-Match.
func baseOf(ifMatch string, p *ConfigProposal) error {
	tag := strings.Trim(strings.TrimSpace(ifMatch), `"`)
	if tag == "*" {
		p.Any = true
		return nil
	}
	if tag == "" {
		return huma.NewError(http.StatusPreconditionRequired, "If-Match is needed: the ETag of the configuration that the change is based on (GET "+base+"/config), or *")
	}
	n, err := strconv.ParseUint(tag, 10, 64)
	if err != nil {
		return huma.NewError(http.StatusPreconditionFailed, fmt.Sprintf("If-Match %q is no ETag of a configuration: GET %s/config has the present one", ifMatch, base))
	}
	p.Base = n
	return nil
}

// author is who is known to ask. At the local socket the tool says it, who sees through sudo.
func author(ctx context.Context, said string) string {
	c := access.CallerOf(ctx)
	if c.Name == "" || c.By == access.BySocket && said != "" {
		return said
	}
	return c.Name
}

// shownTo is a version without the users, for callers who may not change them.
func shownTo(ctx context.Context, v ConfigVersion) ConfigVersion {
	if c := access.CallerOf(ctx); c.By == "" || c.Role.Includes(access.Admin) {
		return v
	}
	var document map[string]json.RawMessage
	if json.Unmarshal(v.Document, &document) != nil {
		v.Document = nil
		return v
	}
	delete(document, "users")
	v.Document, _ = json.Marshal(document) // it was read from JSON
	return v
}

func configured(ctx context.Context, v ConfigVersion) *configAnswer {
	v = shownTo(ctx, v)
	return &configAnswer{ETag: strconv.Quote(strconv.FormatUint(v.Version, 10)), Body: v}
}

// configRefusal tells every problem of a document apart.
func (s *server) configRefusal(err error) error {
	var invalid InvalidConfig
	switch {
	case errors.As(err, &invalid):
		details := make([]error, len(invalid))
		for i, p := range invalid {
			where := p.Setting
			if p.Line > 0 {
				where = strings.TrimPrefix(fmt.Sprintf("%s:%d:%d", where, p.Line, p.Column), ":")
			}
			details[i] = &huma.ErrorDetail{Message: p.text(), Location: where}
		}
		return huma.NewError(http.StatusUnprocessableEntity, "the configuration is not valid; nothing was changed", details...)
	case errors.Is(err, ErrStale):
		return huma.NewError(http.StatusPreconditionFailed, err.Error())
	}
	return s.refusal(err)
}

// configuration registers what is about the network configuration.
func (s *server) configuration() {
	s.configReads()
	s.configChanges()
}

const (
	notValid     = http.StatusUnprocessableEntity
	notThere     = http.StatusNotFound
	notNow       = http.StatusServiceUnavailable
	notPossible  = http.StatusConflict
	notTheNewest = http.StatusPreconditionFailed
	notSaid      = http.StatusPreconditionRequired
)

func (s *server) configReads() {
	huma.Register(s.api, operation("get-config", http.MethodGet, "/config", "The network configuration in force", notNow),
		func(ctx context.Context, _ *watch) (*configAnswer, error) {
			v, err := s.node.ConfigVersion(ctx, 0)
			return configured(ctx, v), s.configRefusal(err)
		})
	s.streamed("/config")
	type page struct {
		Below uint64 `query:"below" doc:"Only versions below this number"`
		Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many"`
		Watch bool   `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
	}
	huma.Register(s.api, operation("get-config-versions", http.MethodGet, "/config/versions", "Its history, the newest first", notNow),
		func(ctx context.Context, in *page) (*answer[ConfigHistory], error) {
			h, err := s.node.ConfigVersions(ctx, in.Below, in.Limit)
			return &answer[ConfigHistory]{complete(h)}, s.configRefusal(err)
		})
	s.streamed("/config/versions")
	huma.Register(s.api, operation("get-config-version", http.MethodGet, "/config/versions/{n}", "One version", notThere, notNow),
		func(ctx context.Context, in *numberedConfig) (*configAnswer, error) {
			v, err := s.node.ConfigVersion(ctx, in.Number)
			return configured(ctx, v), s.configRefusal(err)
		})
	type span struct {
		From uint64 `query:"from" doc:"The one version; 0: the parent of the other"`
		To   uint64 `query:"to" doc:"The other version; 0: the newest"`
	}
	huma.Register(s.api, operation("diff-config", http.MethodGet, "/config/diff", "How two versions differ", notThere, notNow),
		func(ctx context.Context, in *span) (*answer[ConfigDiff], error) {
			d, err := s.node.DiffConfig(ctx, in.From, in.To)
			return &answer[ConfigDiff]{complete(d)}, s.configRefusal(err)
		})
	s.configApplied()
	s.configExport()
}

func (s *server) configApplied() {
	type barrier struct {
		Number uint64  `path:"n" doc:"Number of the version; 0: the newest"`
		WaitS  float64 `query:"wait_s" minimum:"0" maximum:"600" doc:"Answer when all have applied it, or after so many seconds; 0: at once"`
		Watch  bool    `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
	}
	huma.Register(s.api, operation("get-config-applied", http.MethodGet, "/config/versions/{n}/applied", "Which peers go by a version", notThere),
		func(ctx context.Context, in *barrier) (*answer[ConfigApplied], error) {
			return &answer[ConfigApplied]{complete(s.applied(ctx, in.Number, seconds(in.WaitS)))}, nil
		})
	s.streamed("/config/versions/{n}/applied")
}

// seconds is a time as the API has it.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// applied waits until all peers go by a version, but not for ever. Silence becomes absence without anything changing, so
// it looks again now and then.
func (s *server) applied(ctx context.Context, number uint64, wait time.Duration) ConfigApplied {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		changed := s.node.Watch()
		a := s.node.ConfigApplied(number)
		if a.Complete || ctx.Err() != nil {
			return a
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(rereadEvery):
		}
	}
}

func (s *server) configExport() {
	type export struct {
		Form    string `query:"form" enum:"toml,json" default:"toml" doc:"toml for people, json for programs"`
		Version uint64 `query:"version" doc:"Number of the version; 0: the newest"`
	}
	type text struct {
		ContentType string `header:"Content-Type"`
		Disposition string `header:"Content-Disposition" doc:"A name for the file"`
		Body        []byte
	}
	o := operation("export-config", http.MethodGet, "/config/export", "The configuration as a file", notThere, notNow)
	o.Responses = map[string]*huma.Response{"200": {Description: "The document", Content: map[string]*huma.MediaType{
		"application/toml": {Schema: &huma.Schema{Type: huma.TypeString}}, "application/json": {Schema: &huma.Schema{Type: huma.TypeObject}},
	}}}
	huma.Register(s.api, o, func(ctx context.Context, in *export) (*text, error) {
		t, err := s.node.ExportConfig(ctx, in.Version, in.Form)
		return &text{"application/" + in.Form, fmt.Sprintf("attachment; filename=\"network.%s\"", in.Form), []byte(t)}, s.configRefusal(err)
	})
}

// maxConfig bounds the body of an import. No document has more than 256 KiB: of what is longer the node need not keep all to say so.
const maxConfig = 1 << 20

func (s *server) configChanges() {
	failures := []int{notValid, notThere, notPossible, notTheNewest, notSaid, notNow}
	huma.Register(s.api, operation("put-config", http.MethodPut, "/config", "Change the network configuration", failures...),
		func(ctx context.Context, in *putConfig) (*configAnswer, error) {
			text, err := in.Body.text()
			if err != nil {
				return nil, s.refusal(err)
			}
			p := ConfigProposal{Text: text, Comment: in.Body.Comment, By: author(ctx, in.Body.By), Key: in.Key, Within: seconds(in.Body.ConfirmS)}
			return s.change(ctx, in.IfMatch, p, s.node.ChangeConfig)
		})
	from := operation("import-config", http.MethodPost, "/config/import", "Change the network configuration to that of a file, in either form", failures...)
	from.MaxBodyBytes = maxConfig
	huma.Register(s.api, from,
		func(ctx context.Context, in *importConfig) (*configAnswer, error) {
			p := ConfigProposal{Text: string(in.RawBody), Comment: in.Comment, By: author(ctx, in.By), Key: in.Key, Within: seconds(in.ConfirmS)}
			return s.change(ctx, in.IfMatch, p, s.node.ChangeConfig)
		})
	huma.Register(s.api, operation("rollback-config", http.MethodPost, "/config/rollback", "Go back to an earlier version, by a new one", failures...),
		func(ctx context.Context, in *rollbackConfig) (*configAnswer, error) {
			p := ConfigProposal{To: in.Body.To, Comment: in.Body.Comment, By: author(ctx, in.Body.By), Key: in.Key, Within: seconds(in.Body.ConfirmS)}
			return s.change(ctx, in.IfMatch, p, s.node.RollbackConfig)
		})
	huma.Register(s.api, operation("check-config", http.MethodPost, "/config/check", "What is wrong with a configuration, and what it would change", notValid, notNow),
		func(ctx context.Context, in *answer[ConfigChange]) (*answer[ConfigCheck], error) {
			text, err := in.Body.text()
			if err != nil {
				return nil, s.refusal(err)
			}
			c, err := s.node.CheckConfig(ctx, text)
			return &answer[ConfigCheck]{complete(c)}, s.configRefusal(err)
		})
	type confirm struct {
		Number uint64 `path:"n" doc:"Number of the version"`
		Body   ConfigConfirm
	}
	huma.Register(s.api, operation("confirm-config", http.MethodPost, "/config/versions/{n}/confirm", "Keep a version that waits for it", notThere, notPossible, notTheNewest, notNow),
		func(ctx context.Context, in *confirm) (*configAnswer, error) {
			v, err := s.node.ConfirmConfig(ctx, in.Number, author(ctx, in.Body.By))
			return configured(ctx, v), s.configRefusal(err)
		})
}

func (s *server) change(ctx context.Context, ifMatch string, p ConfigProposal, do func(context.Context, ConfigProposal) (ConfigVersion, error)) (*configAnswer, error) {
	if err := baseOf(ifMatch, &p); err != nil {
		return nil, err
	}
	v, err := do(ctx, p)
	return configured(ctx, v), s.configRefusal(err)
}
