package access

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Refusal is a request that is not answered, as problem details (RFC 9457).
type Refusal struct {
	Status int
	Kind   string        // tells programs apart what has one status; completes urn:drawbridge:problem:
	Detail string        // what is wrong, and what to do
	Wait   time.Duration // after which it is worth to ask again; 0: it is not
}

func (r *Refusal) Error() string { return r.Detail }

// Kinds of refusals that a program may want to know.
const (
	KindLogIn     = "log-in"      // nobody, or nobody any more
	KindWrong     = "wrong-login" // name, password or code
	KindTOTP      = "totp-needed" // the password is right, a code is asked for besides
	KindRole      = "role"        // somebody who may not
	KindScope     = "token-scope" // a token that may not
	KindSlow      = "too-many-tries"
	KindCrossSite = "cross-site"
	KindPath      = "path"
)

// Type is what the problem's type member says.
func (r *Refusal) Type() string {
	if r.Kind == "" {
		return "about:blank"
	}
	return "urn:drawbridge:problem:" + r.Kind
}

// RetryAfter is the header of that name in whole seconds, empty when there is nothing to wait for.
func (r *Refusal) RetryAfter() string {
	if r.Wait <= 0 {
		return ""
	}
	return strconv.Itoa(int(math.Ceil(r.Wait.Seconds())))
}

// Write answers with the problem.
func (r *Refusal) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if s := r.RetryAfter(); s != "" {
		h.Set("Retry-After", s)
	}
	if r.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="drawbridge"`)
	}
	w.WriteHeader(r.Status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	_ = out.Encode(map[string]any{"type": r.Type(), "title": http.StatusText(r.Status), "status": r.Status, "detail": r.Detail}) // nobody is left to tell
}

// AsRefusal is any error of this package with the status that fits it.
func AsRefusal(err error) *Refusal {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, ErrInvalid):
		return &Refusal{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	case errors.Is(err, ErrNotFound):
		return &Refusal{Status: http.StatusNotFound, Detail: err.Error()}
	case errors.Is(err, ErrConflict):
		return &Refusal{Status: http.StatusConflict, Detail: err.Error()}
	case errors.Is(err, ErrStale):
		return &Refusal{Status: http.StatusPreconditionFailed, Detail: err.Error()}
	default:
		return &Refusal{Status: http.StatusServiceUnavailable, Detail: err.Error()}
	}
}
