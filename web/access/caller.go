package access

import (
	"context"
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Ways in which a caller can be known.
const (
	BySession = "session"
	ByToken   = "token"
	BySocket  = "socket" // the local unix socket
)

// Caller is who asks, as the guard found out.
type Caller struct {
	Name    string     // of the user; unix:NAME at the socket; oidc:NAME from an issuer; empty: nobody
	Role    Role       // what they may do now
	By      string     // how they are known
	Token   string     // ID of the token
	From    netip.Addr // invalid at the socket
	Agent   string     // what the browser calls itself
	Request string     // ID of the request

	host       string // that the client believes to speak to
	prefix     string // scope of the token
	key        [sha256.Size]byte
	generation uint64
	external   bool
	note       *note
	expires    time.Time
}

// Address is where a caller is, for logs.
func (c Caller) Address() string {
	if !c.From.IsValid() {
		return "local"
	}
	return c.From.String()
}

// Expires is when the session or token ends at the latest; zero: never, or nobody asks.
func (c Caller) Expires() time.Time { return c.expires }

// account reports whether a user of the directory asks.
func (c Caller) account() bool { return c.By == BySession && !c.external }

type contextKey int

const (
	callerKey contextKey = iota
	peerKey
)

// CallerOf is who asks. Where no guard stands in front, nobody does.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey).(Caller)
	return c
}

func withCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey, c)
}

// note is what a handler adds to the audit record of its request.
type note struct {
	before, after any
	who           string // somebody who became known by the request
}

// Note gives the audit record what was before a change and what is after it, in place of what the guard would
// find. Secrets do not belong there.
func Note(ctx context.Context, before, after any) {
	if n := CallerOf(ctx).note; n != nil {
		n.before, n.after = before, after
	}
}

// became tells the audit record who somebody is who was nobody before.
func (c Caller) became(name string) {
	if c.note != nil {
		c.note.who = name
	}
}

// ConnContext belongs in http.Server: it asks the kernel who is at the other end of a unix socket, once for
// every connection.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey, peerOf(u))
}

// addressOf is where a request comes from. Headers of proxies are not believed: there are none that we know.
func addressOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
