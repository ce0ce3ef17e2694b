package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// TestFilesOfAddresses has what the contract alone does not say: both formats, and problems with their lines.
func TestFilesOfAddresses(t *testing.T) {
	node := webtest.New()
	url := serve(t, node) + "/api/v1/ipam/"
	for format, begins := range map[string]string{"csv": "address,owner", "json": "[{"} {
		if answer, text := call(t, http.MethodGet, url+"export?format="+format, "*/*", ""); answer.StatusCode != http.StatusOK || !strings.HasPrefix(text, begins) {
			t.Errorf("%s: %s %s", format, answer.Status, text)
		}
	}
	answer, text := call(t, http.MethodPost, url+"import", "application/json", "nonsense")
	if answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(text, `"location":"line 2"`) || !strings.Contains(text, "there is no address") {
		t.Errorf("%s %s", answer.Status, text)
	}
	if answer, text = call(t, http.MethodPost, url+"import?dry_run=true", "application/json", "a,b"); answer.StatusCode != http.StatusOK || !strings.Contains(text, `"same":1`) {
		t.Errorf("%s %s", answer.Status, text)
	}
}
