package setuppage

import (
	"embed"
	"net/http"
	"path"
)

//go:embed page
var pageFiles embed.FS

// policy lets the page load its own files alone, and send what is typed nowhere else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"

var kinds = map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// heads are for every answer: nothing of it is kept by a browser, and nobody else may show it.
func heads(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// files are the page. Any address that the console would have leads to it.
func files(mux *http.ServeMux) {
	show := func(name string) http.HandlerFunc {
		text, _ := pageFiles.ReadFile("page/" + name) // TestPage looks that it is there
		return func(w http.ResponseWriter, _ *http.Request) {
			heads(w)
			w.Header().Set("Content-Type", kinds[path.Ext(name)])
			_, _ = w.Write(text)
		}
	}
	mux.HandleFunc("GET /", show("setup.html"))
	mux.HandleFunc("GET /setup.css", show("setup.css"))
	mux.HandleFunc("GET /setup.js", show("setup.js"))
	mux.HandleFunc("GET /api/", func(w http.ResponseWriter, _ *http.Request) {
		heads(w)
		http.Error(w, "this machine has not been set up: open its page in a browser", http.StatusServiceUnavailable)
	})
}
