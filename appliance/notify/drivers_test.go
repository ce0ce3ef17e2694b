package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func message() *Message {
	return &Message{
		Format: 1, Network: "home", From: "a", Sink: "ops", Sequence: 42, Key: "segment_active/office/3.8",
		Event: Event{
			ID: 7, Time: time.Date(2026, 3, 4, 12, 0, 0, 123456000, time.UTC), Level: Warn, Kind: "segment_active", Segment: "office", Peer: "b",
			Epoch: "3.8", Text: "b is the active gateway of segment office", Reason: `lease 3.8 taken <- the lease of a "had" ended [dead]`,
		},
	}
}

func TestWebhook(t *testing.T) {
	var status int
	retry := ""
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := hmac.New(sha256.New, []byte("secret"))
		h.Write([]byte(r.Header.Get("Drawbridge-Timestamp") + "." + string(body)))
		var m Message
		if err := json.Unmarshal(body, &m); err != nil || m != *message() {
			t.Errorf("%s %v", body, err)
		}
		if r.Header.Get("Drawbridge-Signature") != "sha256="+hex.EncodeToString(h.Sum(nil)) || r.Header.Get("Drawbridge-Sequence") != "42" ||
			r.Header.Get("Drawbridge-Event") != "segment_active" || r.Header.Get("Content-Type") != "application/json" || r.Method != http.MethodPost {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		w.Header().Set("Retry-After", retry)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "because\x1b[31m\nsecond line")
	}))
	defer s.Close()
	print := sha256.Sum256(s.Certificate().Raw)
	w, err := NewWebhook(s.URL+"/token-in-the-path", "secret", "sha-256:"+hex.EncodeToString(print[:]), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, c := range []struct {
		status  int
		refused bool
		says    string
	}{
		{200, false, ""},
		{204, false, ""},
		{302, false, "redirections are not followed"},
		{401, false, "401 Unauthorized: because[31m"},
		{404, false, "404"},
		{422, true, "422"},
		{413, true, "413"},
		{500, false, "500"},
	} {
		status = c.status
		err := w.Tell(t.Context(), message())
		if (err == nil) != (c.says == "") || errors.Is(err, ErrRefused) != c.refused || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d: %v", c.status, err)
		}
	}
	status, retry = 503, "90"
	var later *laterError
	if err := w.Tell(t.Context(), message()); !errors.As(err, &later) || later.after != 90*time.Second {
		t.Errorf("%v", err)
	}
	wrong, _ := NewWebhook(s.URL, "secret", strings.Repeat("00", 32), "1.2.3")
	defer wrong.Close()
	if err := wrong.Tell(t.Context(), message()); err == nil || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("a certificate that is not the configured one: %v", err)
	}
}

func TestWebhookThatHangs(t *testing.T) {
	entered, gone := make(chan bool), make(chan bool)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(entered)
		<-r.Context().Done()
		close(gone)
	}))
	defer s.Close()
	w, _ := NewWebhook(s.URL+"/hidden", "", "", "1")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if err := w.Tell(ctx, message()); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
	<-gone
	_ = w.Close()
}

func TestSyslogText(t *testing.T) {
	want := `<28>1 2026-03-04T12:00:00.123456Z a drawbridge 99 segment_active [meta sequenceId="42"]` +
		`[origin software="drawbridge" swVersion="1.2.3"][drawbridge@32473 sequence="42" key="segment_active/office/3.8" network="home" level="warn"` +
		` peer="b" segment="office" epoch="3.8" reason="lease 3.8 taken <- the lease of a \"had\" ended [dead\]"]` +
		" \ufeffb is the active gateway of segment office (lease 3.8 taken <- the lease of a \"had\" ended [dead])"
	if got := string(FormatSyslog(message(), "1.2.3", 99)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSyslogOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			n, _ := in.ReadString(' ')
			b := make([]byte, 4096)
			k, _ := in.Read(b)
			_ = conn.Close() // after every message: the next one must not go into the void
			got <- n + string(b[:k])
		}
	}()
	s, _ := NewSyslog(l.Addr().String(), SyslogTCP, "", "1.2.3")
	defer s.Close()
	for range 3 {
		if err := s.Tell(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		text := <-got
		var length int
		rest, ok := "", false
		for i, r := range text {
			if r == ' ' {
				rest, ok = text[i+1:], true
				break
			}
			length = length*10 + int(r-'0')
		}
		if !ok || length != len(rest) {
			t.Errorf("length %d before %d octets", length, len(rest))
		}
		waitHungUp(s)
	}
}

// waitHungUp returns when the end of the connection has arrived.
func waitHungUp(s *Syslog) {
	for s.conn != nil && !s.hungUp() {
	}
}

func TestSyslogOverUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, _ := NewSyslog(conn.LocalAddr().String(), SyslogUDP, "", "1")
	defer s.Close()
	m := message()
	m.Event.Text = strings.Repeat("ä", 4000)
	if err := s.Tell(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 65536)
	n, _, err := conn.ReadFrom(b)
	if err != nil || n > maxDatagram || n < maxDatagram-4 || !bytes.HasSuffix(b[:n], []byte("ä")) {
		t.Errorf("%d octets, %v", n, err)
	}
}

// FuzzSyslog puts anything into every part of a message: it stays one line, whose header has seven words.
func FuzzSyslog(f *testing.F) {
	f.Add("a", "segment_active", "text", "reason", "warn", uint64(1))
	f.Add("a b\n", "k\x00", "t\nu", `\"]`, "", uint64(1)<<40)
	f.Add("", "", "\xff", "]", "error", uint64(0))
	f.Fuzz(func(t *testing.T, from, kind, text, reason, level string, sequence uint64) {
		m := &Message{From: from, Sequence: sequence, Event: Event{Kind: kind, Text: text, Reason: reason, Level: level, Time: time.Unix(1e9, 0)}}
		got := FormatSyslog(m, text, 1)
		head, rest, ok := bytes.Cut(got, []byte(" [meta "))
		if !ok || len(bytes.Fields(head)) != 6 || bytes.ContainsAny(got, "\n\r\x00") {
			t.Fatalf("%q", got)
		}
		// Quotes that are not escaped come in pairs; behind the last one the structured data ends.
		inside := false
		for i := 0; i < len(rest); i++ {
			switch {
			case inside && rest[i] == '\\':
				i++
			case rest[i] == '"':
				inside = !inside
			case !inside && bytes.HasPrefix(rest[i:], []byte("] \xef\xbb\xbf")):
				return
			}
		}
		t.Fatalf("no end of the structured data: %q", got)
	})
}

func script(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	script(t, dir, "good", `printf '%s %s ' "$1" "$DRAWBRIDGE_EVENT" >`+out+`; cat >>`+out, 0o755)
	script(t, dir, "bad", "echo it is broken; exit 3", 0o755)
	script(t, dir, "open", "true", 0o777)
	script(t, dir, "plain", "true", 0o644)
	good, _ := NewCommand(dir, []string{"good", "--x"})
	if err := good.Tell(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(out)
	body, _ := json.Marshal(message())
	if string(got) != "--x segment_active "+string(body)+"\n" {
		t.Errorf("got %s", got)
	}
	for _, c := range []struct{ program, says string }{
		{filepath.Join(dir, "bad"), "exit status 3: it is broken"},
		{"open", "may be written by others"},
		{"plain", "is no program"},
		{"gone", "does not exist on this host"},
		{"/bin/sh", "this host runs no other programs"},
		{"../good", "this host runs no other programs"},
		{dir + "/../" + filepath.Base(dir) + "/bad", "exit status 3"},
	} {
		bad, _ := NewCommand(dir, []string{c.program})
		if err := bad.Tell(t.Context(), message()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.program, err)
		}
	}
}

func TestACommandThatHangsIsKilledWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "alive")
	script(t, dir, "hang", "sleep 1000 & echo started >"+fifo+"; wait", 0o755)
	hang, _ := NewCommand(dir, []string{"hang"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if b, _ := os.ReadFile(fifo); len(b) > 0 {
				cancel()
			}
		}
	}()
	if err := hang.Tell(ctx, message()); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("%v", err)
	}
}

func TestMeanings(t *testing.T) {
	ids, names := map[string]bool{}, map[string]bool{}
	for _, m := range Meanings {
		if b, err := hex.DecodeString(m.ID); err != nil || len(b) != 16 || ids[m.ID] || names[m.Name] || m.Title == "" || m.Text == "" || m.Remedy == "" {
			t.Errorf("%+v", m)
		}
		ids[m.ID], names[m.Name] = true, true
	}
	for _, c := range []struct{ kind, reason, want string }{
		{"gate_shut", "handed over", "gate_shut"},
		{"gate_shut", "lease 3.8 ended 12:00 <- shut <- lease ended without a majority", "lease_lost"},
		{"gate_shut", "shut 12:00 <- later tenure elsewhere", "gate_fenced"},
		{"alone", "reflection", "loop_found"},
	} {
		if m, ok := MeaningOf(&Event{Kind: c.kind, Reason: c.reason}); !ok || m.Name != c.want {
			t.Errorf("%s %q is %s", c.kind, c.reason, m.Name)
		}
	}
	if _, ok := MeaningOf(&Event{Kind: "unheard"}); ok {
		t.Error("a meaning for a kind that nobody knows")
	}
}

func TestWanted(t *testing.T) {
	e := &Event{Kind: "segment_active", Level: Info}
	for _, c := range []struct {
		patterns []string
		least    string
		want     bool
	}{
		{nil, "", true},
		{nil, Warn, false},
		{[]string{"segment_*"}, "", true},
		{[]string{"gate_*", "segment_active"}, Info, true},
		{[]string{"gate_*"}, "", false},
	} {
		if got := Wanted(e, c.patterns, c.least); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if got := Unheard([]string{"segment_*", "segmnt_active"}); len(got) != 1 || got[0] != "segmnt_active" {
		t.Errorf("%v", got)
	}
}

func TestBoard(t *testing.T) {
	now := time.Unix(1000, 0)
	b := NewBoard(5 * time.Second)
	bad, worse := Condition{ID: "bad", Severity: Warn}, Condition{ID: "worse", Severity: Error}
	step := func(after time.Duration, wantRaised, wantCleared int, conditions ...Condition) {
		t.Helper()
		now = now.Add(after)
		raised, cleared := b.Update(now, conditions)
		if len(raised) != wantRaised || len(cleared) != wantCleared {
			t.Errorf("raised %v, cleared %v", raised, cleared)
		}
	}
	step(0, 0, 0, bad)
	if due := b.Due(); due != now.Add(5*time.Second) {
		t.Errorf("due %s", due)
	}
	step(time.Second, 0, 0)             // it ended before anybody was told
	step(time.Second, 0, 0, bad, worse) // and began anew
	step(5*time.Second, 2, 0, bad, worse, bad)
	if all := b.Standings(); len(all) != 2 || all[0].ID != "worse" || all[0].Since != now.Add(-5*time.Second) || !b.Due().IsZero() {
		t.Errorf("%+v", all)
	}
	if !b.Acknowledge("bad", &Acknowledgement{By: "alice"}) || b.Acknowledge("gone", nil) {
		t.Error("acknowledged what is not, or not what is")
	}
	kept := b.Keep()
	step(time.Second, 0, 1, bad)
	if b.Standings()[0].Acknowledged.By != "alice" {
		t.Error("the acknowledgement did not last")
	}
	b = NewBoard(5 * time.Second)
	b.Recall(kept)
	step(time.Second, 0, 1, bad) // worse ended while we were away
	if s := b.Standings()[0]; s.Since != kept["bad"].Since || s.Acknowledged == nil {
		t.Errorf("%+v", s)
	}
}
