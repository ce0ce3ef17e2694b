//go:build image

package images

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// setUp asks the set-up page of a machine for something, with the one-time code that its screen shows last.
func (v *vm) setUp(what, kind, body string) (status int, text string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, "https://"+v.console+"/setup/"+what, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Drawbridge-Code", v.code())
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}}
	answer, err := browser.Do(r)
	if err != nil {
		v.t.Fatal(what, ": ", err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(what, ": ", err)
	}
	v.t.Logf("%s: %d %s", what, answer.StatusCode, said)
	return answer.StatusCode, string(said)
}

var oneTimeCode = regexp.MustCompile(`One-time code for the set-up page:\s+([a-z ]+?)\s*\n`)

func (v *vm) code() string {
	v.t.Helper()
	text, err := os.ReadFile(v.dir + "/serial")
	if err != nil {
		v.t.Fatal(err)
	}
	all := oneTimeCode.FindAllStringSubmatch(strings.ReplaceAll(string(escape.ReplaceAll(text, nil)), "\r", ""), -1)
	if len(all) == 0 {
		v.t.Fatal("the screen shows no one-time code: ", v.screen())
	}
	return all[len(all)-1][1]
}

// form is a backup and its passphrase as the page sends them.
func form(t *testing.T, passphrase string, backup []byte) (kind, body string) {
	t.Helper()
	var out bytes.Buffer
	m := multipart.NewWriter(&out)
	if err := m.WriteField("passphrase", passphrase); err != nil {
		t.Fatal(err)
	}
	f, err := m.CreateFormFile("backup", "a.age")
	if err == nil {
		_, err = f.Write(backup)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), out.String()
}

// TestRestoreFromPage brings a lost peer back on a machine that nobody stands before, but for the one-time code, and the network's
// configuration with it, as all voters are lost.
func TestRestoreFromPage(t *testing.T) {
	medium := medium(t, nil)
	id := backupOf(t, medium, "a.age")
	file := filepath.Join(t.TempDir(), "a.age")
	run(t, "mcopy", "-i", medium, "::/a.age", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v := start(t, false, newDisk(t))
	v.shows("set-up page", "One-time code for the set-up page")
	v.shows("fingerprint  " + v.fingerprint())
	for says, c := range map[string]struct {
		passphrase string
		backup     []byte
	}{
		"the passphrase is wrong": {strings.ToUpper(backupSecret), whole},
		"is damaged":              {backupSecret, whole[:len(whole)-1000]},
		"no backup of Drawbridge": {backupSecret, []byte("something else")},
	} {
		kind, body := form(t, c.passphrase, c.backup)
		if status, text := v.setUp("open", kind, body); status != http.StatusUnprocessableEntity || !strings.Contains(text, says) {
			t.Errorf("%d %s, want %s", status, text, says)
		}
	}
	kind, body := form(t, backupSecret, whole)
	if status, text := v.setUp("open", kind, body); status != http.StatusOK || !strings.Contains(text, `"peer":"a"`) {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := v.setUp("restore", "application/json", `{"peer":"a","found":true}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	v.booted()
	v.expect("sha256sum /var/lib/drawbridge/peer.crt", id)
	v.expect("until drawbridge status | grep -q 'ready *yes'; do sleep 1; done; drawbridge status", "a .* in network home")
	v.expect("systemctl is-active drawbridge-setup; ls /run/drawbridge-setup", "^inactive(.|\n)*tls")
	v.expect("until drawbridge config log | grep -q 'of a backup'; do sleep 1; done; drawbridge config log", "version [0-9]+ of a backup")
	v.shows("console      https://10.0.2.15:8630/", "fingerprint  "+v.fingerprint())
}

// TestInstallFromPage writes the system to an empty disk from a browser, and starts that disk alone.
func TestInstallFromPage(t *testing.T) {
	empty := usedDisk(t)
	v := start(t, false, newDisk(t), empty)
	v.shows("One-time code for the set-up page")
	v.fingerprint() // it answers
	if status, text := v.setUp("disks", "application/json", "{}"); status != http.StatusOK || contains([]byte(text), `"vdb"`, "data of an unknown kind", "is the disk that this appliance runs from") != nil {
		t.Errorf("%d %s", status, text)
	}
	for disk, end := range map[string]string{"vda": `"error":"/dev/vda is the disk that this appliance runs from`, "vdb": `"end":true}`} {
		if _, text := v.setUp("install", "application/json", fmt.Sprintf(`{"disk":%q,"confirm":%q}`, disk, disk)); !strings.Contains(text, end) {
			t.Errorf("%s: want %s, said %s", disk, end, text[max(0, len(text)-300):])
		}
	}
	v.cut()
	v = start(t, false, empty)
	v.booted()
	v.shows("This machine has not been set up")
	v.expect("df -m /var | tail -1", ` [56]\d\d `)
}

// TestInstallByDaemon: an appliance that is set up writes its system to another disk when an admin asks for it by the API, and not while
// it is being updated.
func TestInstallByDaemon(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), os.Truncate(empty, 1<<30)); err != nil {
		t.Fatal(err)
	}
	v := start(t, false, newDisk(t), stick(t), empty, nextBundle(t))
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("drawbridge install", "vda .*runs from(.|\n)*vdc .*can be written to")
	v.expect("drawbridge update /dev/vdd >/run/1 2>&1 & until grep -q verify /run/1; do sleep 0.1; done; drawbridge install vdc --yes", "another update is being installed: wait(.|\n)*END=1")
	v.expect("wait; cat /run/1; setpriv --reuid=drawbridge --regid=drawbridge --clear-groups drawbridge install vdc --yes --wait", "vdc is written: take out the medium(.|\n)*END=0")
	v.cut()
	v = start(t, false, empty)
	v.booted()
	v.shows("This machine has not been set up")
	v.expect("drawbridge update status", "b  release .*starts next|on trial")
}
