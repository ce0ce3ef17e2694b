package setuppage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
)

// box is a machine that notes what is done to it.
type box struct {
	done    []string
	blocked string
	err     error
	held    chan struct{} // Found waits for it
}

func (b *box) Blocked() string { return b.blocked }

func (b *box) Open(_ context.Context, f *os.File, passphrase string) (Summary, error) {
	text, err := io.ReadAll(f)
	b.done = append(b.done, "open "+string(text)+" "+passphrase)
	return Summary{Peer: "gw-a", Network: "home", Files: 9}, errors.Join(err, b.err)
}

func (b *box) Restore(found bool) error {
	b.done = append(b.done, map[bool]string{true: "restore found", false: "restore"}[found])
	return b.err
}

func (b *box) Found(_ context.Context, network, name string) error {
	if b.held != nil {
		b.held <- struct{}{}
		<-b.held
	}
	b.done = append(b.done, "found "+network+" "+name)
	return b.err
}

func (b *box) Join(_ context.Context, token, name string) error {
	b.done = append(b.done, "join "+token+" "+name)
	return b.err
}

func (b *box) Disks(context.Context) ([]web.Disk, error) { return nil, b.err }

func (b *box) Install(_ context.Context, disk string, progress func(done, total int64)) error {
	for i := range int64(1001) {
		progress(i, 1000)
	}
	b.done = append(b.done, "install "+disk)
	return b.err
}

func (b *box) Reboot() error {
	b.done = append(b.done, "reboot")
	return b.err
}

// bench is the page of a machine, and somebody before it.
type bench struct {
	*box
	t    *testing.T
	page http.Handler
	code string
}

func newBench(t *testing.T) *bench {
	b := &bench{box: &box{}, t: t}
	code := access.NewOneTimeCode(nil)
	b.code = code.Current(time.Now())
	b.page = New(b.box, code, time.Now, slog.New(slog.DiscardHandler))
	return b
}

// send answers with the status and the text of an answer.
func (b *bench) send(path, kind, body string) (int, string) {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set(CodeHeader, b.code)
	w := httptest.NewRecorder()
	b.page.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (b *bench) says(path, body string, status int, says string) {
	b.t.Helper()
	if got, text := b.send(path, "application/json", body); got != status || !strings.Contains(text, says) {
		b.t.Errorf("%s %s: %d %s, want %d %s", path, body, got, text, status, says)
	}
}

// form is what the page sends.
func form(t *testing.T, passphrase, backup string) (kind, body string) {
	t.Helper()
	var out bytes.Buffer
	m := multipart.NewWriter(&out)
	err := m.WriteField("passphrase", passphrase)
	if err == nil {
		var f io.Writer
		if f, err = m.CreateFormFile("backup", "a.age"); err == nil {
			_, err = io.WriteString(f, backup)
		}
	}
	if err = errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), out.String()
}

func TestRestore(t *testing.T) {
	b := newBench(t)
	b.says("/setup/restore", `{"peer":"gw-a"}`, 422, "no backup was opened")
	kind, body := form(t, "secret words", "the file")
	if status, text := b.send("/setup/open", kind, body); status != 200 || !strings.Contains(text, `"peer":"gw-a"`) {
		t.Fatalf("%d %s", status, text)
	}
	b.says("/setup/restore", `{"peer":"gw-b"}`, 422, "confirm it by the name gw-a")
	b.says("/setup/restore", `{"peer":"gw-a","found":true}`, 200, "true")
	b.err = errors.New("the disk is full")
	b.says("/setup/restore", `{"peer":"gw-a"}`, 422, "not restored: the disk is full. This machine is as it was: not set up")
	if want := []string{"open the file secret words", "restore found", "restore"}; !slices.Equal(b.done, want) {
		t.Errorf("done %q", b.done)
	}
}

// TestUploadsThatAreNone: whatever comes, a backup that was opened before counts no more, and nothing is restored.
func TestUploadsThatAreNone(t *testing.T) {
	kind, body := form(t, "secret words", "the file")
	_, empty := form(t, "secret words", "")
	for name, c := range map[string]struct{ kind, body, says string }{
		"cut short":   {kind, body[:len(body)-70], "ended early"},
		"no form":     {"application/json", "{}", "load the page again"},
		"no boundary": {"multipart/form-data", body, "load the page again"},
		"empty":       {kind, empty, "ended early"}, // it has another boundary
		"nothing":     {kind, "", "ended early"},
	} {
		b := newBench(t)
		if status, text := b.send("/setup/open", kind, body); status != 200 {
			t.Fatal(text)
		}
		if status, text := b.send("/setup/open", c.kind, c.body); status != 422 || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s, want %s", name, status, text, c.says)
		}
		b.says("/setup/restore", `{"peer":"gw-a"}`, 422, "no backup was opened")
	}
	b := newBench(t)
	kind, body = form(t, "secret words", "")
	if status, text := b.send("/setup/open", kind, body); status != 422 || !strings.Contains(text, "the file is empty") {
		t.Errorf("empty: %d %s", status, text)
	}
}

func TestNobodyWithoutTheCode(t *testing.T) {
	b := newBench(t)
	right := b.code
	for _, code := range []string{"", "one two three four five six", right + " x"} {
		b.code = code
		b.says("/setup/found", `{"network":"home","name":"a"}`, 401, "the code is wrong")
	}
	b.code = strings.ToUpper(strings.ReplaceAll(right, " ", "-"))
	b.says("/setup/look", `{}`, 200, "true")
	if len(b.done) != 0 {
		t.Errorf("done %q", b.done)
	}
}

func TestDeeds(t *testing.T) {
	b := newBench(t)
	b.says("/setup/found", `{"network":"home","name":"a"}`, 200, "true")
	b.says("/setup/join", `{"token":"t","name":"b"}`, 200, "true")
	b.says("/setup/join", `{"token":"t","nama":"b"}`, 422, "load the page again")
	b.says("/setup/join", ``, 422, "load the page again")
	b.says("/setup/disks", `{}`, 200, "[]")
	b.says("/setup/install", `{"disk":"sda","confirm":"sdb"}`, 422, "confirm it by that name")
	b.says("/setup/install", `{"disk":"","confirm":""}`, 422, "confirm it")
	_, text := b.send("/setup/install", "application/json", `{"disk":"sda","confirm":"sda"}`)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 102 || !strings.Contains(lines[100], `"done":1000`) || !strings.Contains(lines[101], `"end":true`) {
		t.Errorf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
	b.err = errors.New("sda is in use")
	if _, text := b.send("/setup/install", "application/json", `{"disk":"sda","confirm":"sda"}`); !strings.Contains(text, `"end":true,"error":"sda is in use"`) {
		t.Errorf("a failure: %s", text[max(0, len(text)-100):])
	}
	b.err, b.blocked = nil, "this machine is set up already"
	b.says("/setup/found", `{"network":"home","name":"a"}`, 409, "set up already")
	b.says("/setup/reboot", `{}`, 200, "true")
	if want := []string{"found home a", "join t b", "install sda", "install sda", "reboot"}; !slices.Equal(b.done, want) {
		t.Errorf("done %q", b.done)
	}
}

// TestOneAtATime: two browsers do not set a machine up at once.
func TestOneAtATime(t *testing.T) {
	b := newBench(t)
	b.held = make(chan struct{})
	ended := make(chan int)
	go func() {
		status, _ := b.send("/setup/found", "application/json", `{"network":"home","name":"a"}`)
		ended <- status
	}()
	<-b.held
	b.says("/setup/join", `{"token":"t","name":"b"}`, 409, "wait until it has ended")
	b.held <- struct{}{}
	if status := <-ended; status != 200 {
		t.Error(status)
	}
}

func TestPage(t *testing.T) {
	b := newBench(t)
	for path, want := range map[string]string{"/": "<h1>Drawbridge</h1>", "/peers": "<h1>", "/setup.css": ":root", "/setup.js": "ask"} {
		w := httptest.NewRecorder()
		b.page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	w := httptest.NewRecorder()
	b.page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/status", http.NoBody))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("the API: %d", w.Code)
	}
}
