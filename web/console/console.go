// Package console is the web console: the bundled files of src, and a handler that serves them. The page talks to
// nothing but the API of the node that served it.
package console

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// dist is what build makes of src. It is committed, so that building the daemon needs Go alone.
//
//go:embed dist
var dist embed.FS

// policy lets a page use what came from here and nothing else: no inline script or style, no foreign host, no frame
// around it (CSP Level 3). What a peer's name or a reason contains can then never run.
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// smallest is the size in bytes from which a file is worth compressing: below, all of it is in the first packet anyway.
const smallest = 1024

// file is one file, ready to be sent.
type file struct {
	kind    string // media type
	plain   []byte
	gzipped func() []byte // nil: not worth it
	forever bool          // its name changes with its content
}

// Handler serves the console. Every path that is no file is a screen of the page, which decides by its address what to
// show; requests that do not accept HTML get 404 there, but for the first page, so that a mistyped API address is not answered with a page.
func Handler() http.Handler {
	files := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the console is only read; the API takes changes, at /api/v1", http.StatusMethodNotAllowed)
			return
		}
		f, ok := files[strings.TrimPrefix(path.Clean(r.URL.Path), "/")]
		switch {
		case ok:
			f.send(w, r)
		case isScreen(r):
			files["index.html"].send(w, r)
		default:
			http.Error(w, r.URL.Path+" does not exist", http.StatusNotFound)
		}
	})
}

// isScreen reports whether a browser asks for a page, not for a file of it. The address of the console itself is one for everybody, so
// that whoever looks by curl whether it is there sees it.
func isScreen(r *http.Request) bool {
	return r.URL.Path == "/" || path.Ext(r.URL.Path) == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// harden sets the headers that every answer has (OWASP Secure Headers).
func harden(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

func (f file) send(w http.ResponseWriter, r *http.Request) {
	h, body := w.Header(), f.plain
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	if f.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.gzipped()
		}
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}

// load reads everything once. A file is compressed when it is first asked for: of the daemon's start, when every processor has
// better things to do, it was an eighth.
func load() map[string]file {
	files := map[string]file{}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		short := strings.TrimPrefix(name, "dist/")
		f := file{kind: kindOf(short), plain: text, forever: strings.HasPrefix(short, "assets/")}
		if len(text) >= smallest {
			f.gzipped = sync.OnceValue(func() []byte { return squeeze(text) })
		}
		files[short] = f
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return files
}

func squeeze(text []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = z.Write(text)                                  // to memory
	_ = z.Close()
	return b.Bytes()
}

// kindOf does not ask the system's table of media types: an appliance may have none, or an odd one.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "text/plain; charset=utf-8"
	}
}
