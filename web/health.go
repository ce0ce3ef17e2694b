package web

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

// health registers what monitoring asks for. It stands outside of the versioned API, where everybody looks.
func (s *server) health(engine *gin.Engine) {
	engine.GET("/healthz", func(c *gin.Context) {
		c.String(http.StatusOK, "ok\n")
	})
	engine.GET("/readyz", func(c *gin.Context) {
		r := complete(s.node.Ready())
		code := http.StatusOK
		if !r.Ready {
			code = http.StatusServiceUnavailable
		}
		c.Header("Content-Type", "application/json")
		c.Status(code)
		writeJSON(c.Writer, r)
	})
	engine.GET("/metrics", gin.WrapH(metrics(s.node)))
}

// writeJSON writes v; a client that is gone is not our business.
func writeJSON(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }
