package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// base is where version 1 of the API begins.
const base = "/api/v1"

// server answers requests about one node.
type server struct {
	node Node
	log  *slog.Logger
	api  huma.API

	console http.Handler // nil: there is none
	entrance
}

// Option is something that not every handler has.
type Option func(*server)

// WithConsole lets h answer whatever is not the API's, health checks or metrics.
func WithConsole(h http.Handler) Option { return func(s *server) { s.console = h } }

// New returns the handler of the API, health checks and metrics of node. It starts nothing.
func New(node Node, log *slog.Logger, options ...Option) http.Handler {
	gin.SetMode(gin.ReleaseMode)      // gin writes to standard output otherwise
	huma.DefaultArrayNullable = false // complete sees to it
	huma.NewErrorWithContext = explained
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	s := &server{node: node, log: log}
	for _, set := range options {
		set(s)
	}
	engine.Use(s.recovered)
	engine.NoRoute(func(c *gin.Context) {
		if s.console != nil && !strings.HasPrefix(c.Request.URL.Path, "/api") {
			s.console.ServeHTTP(c.Writer, c.Request)
			return
		}
		problem(c.Writer, http.StatusNotFound, c.Request.URL.Path+" does not exist; "+base+"/openapi.json lists what does")
	})
	engine.NoMethod(func(c *gin.Context) {
		problem(c.Writer, http.StatusMethodNotAllowed, c.Request.Method+" is not possible here; allowed: "+c.Writer.Header().Get("Allow"))
	})
	s.api = humagin.New(engine, document(node.Version().Version))
	s.reads()
	s.changes()
	s.moves()
	s.rollouts()
	s.updates()
	s.installs()
	s.resets()
	s.hands()
	s.people()
	s.configuration()
	s.addresses()
	s.alerts()
	s.streams()
	s.diagnostics()
	s.backups()
	s.health(engine)
	s.describeKeys()
	return s.guarded(idempotent{s, newReplays(time.Now), watching{s, engine, newRenderings()}})
}

// document is what the OpenAPI document begins with.
func document(version string) huma.Config {
	c := huma.DefaultConfig("Drawbridge", version)
	c.Info.Description = "One peer of a Drawbridge network. Errors are problem details (RFC 9457). " +
		"Every list answers with server-sent events when they are asked for (Accept: text/event-stream, or ?watch=true): " +
		"the whole answer again whenever it has changed. Lists that grow answer with everything unless limit is given; " +
		"then the Link header (RFC 8288) has the address of the next page, until there is none. " +
		"Every change takes an Idempotency-Key."
	c.OpenAPIPath = base + "/openapi"
	c.DocsPath, c.SchemasPath = "", ""
	c.CreateHooks = nil // no $schema field in every answer
	return c
}

// recovered keeps one bad request from ending the daemon that carries everybody's frames.
func (s *server) recovered(c *gin.Context) {
	defer func() {
		reason := recover()
		if reason == nil {
			return
		}
		if reason == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
			panic(reason)
		}
		s.log.Error("request panicked", "path", c.Request.URL.Path, "reason", reason)
		if !c.Writer.Written() {
			problem(c.Writer, http.StatusInternalServerError, "a bug in drawbridge; its log says more")
		}
	}()
	c.Next()
}

// status is the code for an error of the Node.
func status(err error) int {
	switch {
	case errors.Is(err, ErrInvalid):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrConflict):
		return http.StatusConflict
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// refusal turns an error of the Node into problem details.
func (s *server) refusal(err error) error {
	if err == nil {
		return nil
	}
	code := status(err)
	if code == http.StatusInternalServerError {
		s.log.Error("request failed", "err", err)
	}
	return huma.NewError(code, err.Error())
}

// remedies say what to do about requests that huma refuses; it says itself what is wrong with them.
var remedies = map[int]string{
	http.StatusBadRequest:            "nothing was done: send what " + base + "/openapi.json describes",
	http.StatusUnprocessableEntity:   "nothing was done: errors says what is wrong and where, " + base + "/openapi.json what is possible",
	http.StatusUnsupportedMediaType:  "nothing was done: send Content-Type: application/json",
	http.StatusRequestEntityTooLarge: "nothing was done: send less",
	http.StatusRequestTimeout:        "nothing was done: send the body at once",
}

func explained(_ huma.Context, code int, detail string, errs ...error) huma.StatusError {
	if remedy := remedies[code]; remedy != "" {
		detail += "; " + remedy
	}
	return huma.NewError(code, detail, errs...)
}

// problem writes problem details where huma has no part.
func problem(w http.ResponseWriter, code int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	writeJSON(w, huma.NewError(code, detail))
}

// Serve answers on l until ctx ends, then gives requests two seconds to finish. It closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong at TLS and HTTP
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       access.ConnContext,
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	end() // streams would go on for ever
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := s.Shutdown(grace)
	if err != nil {
		err = s.Close()
	}
	<-ended
	return err
}

// accepts reports whether a request prefers events to a document.
func accepts(r *http.Request, kind string) bool {
	return strings.Contains(r.Header.Get("Accept"), kind)
}
