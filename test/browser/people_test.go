package browser

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lookInside opens a page of a guarded node, at which ann the admin has logged in.
func lookInside(t *testing.T) (*Network, *tab) {
	t.Helper()
	n, code, err := NewGuarded(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	b := newTab(t, n.URL)
	b.do("open", navigate(b.url+"/"))
	b.awaitText("h1", "Welcome")
	b.post("POST", "/first-run", fmt.Sprintf(`{"code":%q,"name":"ann","password":%q}`, code, Password), 204)
	b.post("POST", "/users", fmt.Sprintf(`{"name":"bob","role":"viewer","password":%q}`, Password), 201)
	b.post("POST", "/access-tokens", `{"role":"viewer","comment":"the graphs on the wall"}`, 201)
	return n, b
}

// post asks the API from within the page.
func (b *tab) post(method, path, body string, want int) {
	b.t.Helper()
	got := run[int](b, fmt.Sprintf(`fetch("/api/v1%s", { method: %q, headers: { "Content-Type": "application/json" }, body: %s }).then(a => a.status)`, path, method, text(body)))
	if got != want {
		b.t.Fatalf("%s %s: %d, want %d", method, path, got, want)
	}
}

func TestAnIssuerIsSetAndRemoved(t *testing.T) {
	_, b := lookInside(t)
	b.open("/users")
	b.click("button", "Set up an issuer…")
	b.accessible("an issuer")
	for i, words := range []string{"Example", "https://id.example", "console", "secret words"} {
		b.fill(fmt.Sprintf("dialog label:nth-of-type(%d) input", i+1), words)
	}
	b.fill("dialog textarea", "noc = operator")
	b.click("dialog footer button", "Set")
	b.awaitText(".card .facts", "https://{host}/api/v1/oidc/callback")
	b.awaitText(".card .facts", "operator")
	b.accessible("the issuer")
	b.click("button", "Remove…")
	b.click("dialog footer button.danger", "Remove")
	b.awaitText(".card .state", "off")
}

func TestAUserIsMadeChangedAndRemoved(t *testing.T) {
	_, b := lookInside(t)
	b.open("/users")
	b.click("button", "Add a user")
	b.fill("dialog input[autocomplete=off]", "carla")
	b.fill("dialog label:nth-of-type(3) input", Password)
	b.fill("dialog label:nth-of-type(4) input", Password)
	b.accessible("a new user")
	b.click("dialog footer button", "Add")
	b.awaitText("tbody", "carla")
	b.click("tbody button", "carla")
	b.click("dialog button", "Disable…")
	b.click("dialog footer button.danger", "Disable")
	b.awaitText("tbody", "disabled")
	b.click("dialog button", "Remove…")
	b.await("a locked button", `[...document.querySelectorAll("dialog button")].some(e => e.textContent.trim() === "Remove" && e.disabled)`)
	b.fill("dialog label.field input", "carla")
	b.click("dialog button", "Remove")
	b.await("nobody of that name", `!document.querySelector("tbody").textContent.includes("carla")`)
	b.open("/audit?path=/users/carla")
	b.awaitText("tbody", "PATCH")
	b.click("tbody tr:last-child button", run[string](b, `document.querySelector("tbody tr:last-child button").innerText.trim()`))
	b.awaitText("dialog .sides", `"disabled": false`)
	b.awaitText("dialog .sides", `"disabled": true`)
	b.accessible("a record of the audit log")
}

func TestTheLastAdminCannotBeRemoved(t *testing.T) {
	_, b := lookInside(t)
	b.open("/users?open=ann")
	b.await("a locked button", `[...document.querySelectorAll("dialog button")].some(e => e.textContent.trim() === "Remove…" && e.disabled && e.title.includes("last admin"))`)
	b.accessible("the last admin")
}

func TestTwoFactorsAreTurnedOnByTheCodeOfTheQR(t *testing.T) {
	_, b := lookInside(t)
	b.open("/account")
	b.click("button", "Turn on…")
	b.await("a code", `document.querySelector("dialog .qr path") !== null`)
	b.accessible("the QR code")
	uri := decodeQR(t, run[string](b, `document.querySelector("dialog .qr path").getAttribute("d")`), run[string](b, `document.querySelector("dialog .qr").getAttribute("viewBox")`))
	if !strings.HasPrefix(uri, "otpauth://totp/Drawbridge%20home:ann?") {
		t.Fatalf("the QR code says %q", uri)
	}
	secret := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(uri)[1]
	b.fill("dialog input[inputmode=numeric]", totp(t, secret, time.Now()))
	b.click("dialog footer button", "Turn on")
	b.awaitText("dialog h2", "Recovery codes")
	b.accessible("the recovery codes")
	b.click("dialog footer button", "I have kept them")
	b.awaitText("main", "Turn off…")
}

// totp is RFC 6238 with SHA-1, 30 s and six digits.
func totp(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, uint64(at.Unix()/30)) // to a hash
	sum := mac.Sum(nil)
	code := binary.BigEndian.Uint32(sum[sum[19]&15:]) & 0x7fffffff
	return fmt.Sprintf("%06d", code%1_000_000)
}

func TestAnAPITokenIsShownOnce(t *testing.T) {
	_, b := lookInside(t)
	b.open("/access-tokens")
	b.awaitText("tbody", "the graphs on the wall")
	b.click("button", "Make an API token")
	b.fill("dialog input[autocomplete=off]", "backup")
	b.accessible("a new API token")
	b.click("dialog footer button", "Make it")
	b.awaitText("dialog code", "Authorization: Bearer ")
	b.click("dialog footer button", "Done")
	b.awaitText("tbody", "backup")
	b.await("no secret left", `!document.body.textContent.includes("Bearer ")`)
}

func TestASessionElsewhereIsEnded(t *testing.T) {
	n, b := lookInside(t)
	answer, err := n.server.Client().Post(n.URL+"/api/v1/login", "application/json", strings.NewReader(fmt.Sprintf(`{"name":"ann","password":%q}`, Password)))
	if err != nil || answer.StatusCode != 204 {
		t.Fatal(answer, err)
	}
	_ = answer.Body.Close() // it has none
	b.open("/sessions")
	b.awaitText(".table-count", "2 sessions")
	b.click("button", "End my other sessions…")
	b.accessible("the question before sessions end")
	b.click("dialog footer button.danger", "End")
	b.awaitText(".table-count", "1 session")
}

func TestACertificateIsMadeAnew(t *testing.T) {
	_, b := lookInside(t)
	b.open("/certificate")
	was := run[string](b, `document.querySelector(".secret .mono").textContent`)
	if len(was) != 95 {
		t.Errorf("the fingerprint is %q", was)
	}
	b.click("button", "Replace…")
	b.fill("dialog textarea", "x")
	b.accessible("a certificate to put in")
	b.click("dialog footer button", "Cancel")
	b.click("button", "Make a new one…")
	b.click("dialog footer button.danger", "Make it")
	b.await("another one", `document.querySelector(".secret .mono").textContent !== `+text(was))
}

func TestAViewerSeesWhatTheyMayNot(t *testing.T) {
	_, b := lookInside(t)
	b.post("POST", "/logout", "", 204)
	b.post("POST", "/login", fmt.Sprintf(`{"name":"bob","password":%q}`, Password), 204)
	for path, words := range map[string]string{"/users": "Only admins see the users", "/audit": "Only admins see the audit log", "/config": "Viewers do not see the configuration", "/account": "bob"} {
		b.open(path)
		b.awaitText("main", words)
		b.accessible(path + " of a viewer")
	}
	b.open("/tokens")
	b.awaitText("main", "Viewers do not see invitations")
	b.open("/segments?name=office")
	b.await("a locked button", `[...document.querySelectorAll("button")].some(e => e.textContent === "Switch over…" && e.disabled && e.title.includes("operator"))`)
	b.open("/certificate")
	b.await("a locked button", `[...document.querySelectorAll("button")].some(e => e.textContent === "Replace…" && e.disabled && e.title.includes("admin"))`)
}

// decodeQR reads a drawn code of version 1 to 9, correction L, mask 0, as ISO/IEC 18004 says, without correcting errors.
func decodeQR(t *testing.T, path, box string) string {
	t.Helper()
	size, err := strconv.Atoi(strings.Fields(box)[2])
	if err != nil {
		t.Fatal(err)
	}
	size -= 8 // the margin
	dark := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h`).FindAllStringSubmatch(path, -1) {
		x, _ := strconv.Atoi(m[1]) // digits
		y, _ := strconv.Atoi(m[2])
		dark[[2]int{x - 4, y - 4}] = true
	}
	version := (size - 17) / 4
	middle := size - 7 // of the alignment pattern at the end
	drawn := func(x, y int) bool {
		near := func(a, b int) bool { return a-b <= 2 && b-a <= 2 }
		finders := x < 9 && y < 9 || x >= size-8 && y < 9 || x < 9 && y >= size-8
		numbers := version >= 7 && (x < 6 && y >= size-11 || y < 6 && x >= size-11)
		align := version > 1 && near(x, middle) && near(y, middle)
		if version >= 7 { // and one between
			half := (6 + middle) / 2
			align = align || near(x, half) && (near(y, 6) || near(y, half) || near(y, middle)) || near(y, half) && (near(x, 6) || near(x, middle))
		}
		return finders || numbers || align || x == 6 || y == 6
	}
	var words []byte
	n, word := 0, byte(0)
	for right := size - 1; right >= 1; right -= 2 {
		if right == 6 {
			right = 5
		}
		for step := range size {
			y := step
			if (right+1)&2 == 0 {
				y = size - 1 - step
			}
			for _, x := range []int{right, right - 1} {
				if drawn(x, y) {
					continue
				}
				bit := dark[[2]int{x, y}] != ((x+y)%2 == 0)
				word <<= 1
				if bit {
					word |= 1
				}
				if n++; n%8 == 0 {
					words = append(words, word)
				}
			}
		}
	}
	blocks, data := 1, map[int]int{1: 19, 2: 34, 3: 55, 4: 80, 5: 108, 6: 136, 7: 156, 8: 194, 9: 232}[version] // table 7
	if version >= 6 {
		blocks = 2
	}
	var flat []byte // all blocks of these versions are of one length
	for i := range blocks {
		for k := range data / blocks {
			flat = append(flat, words[k*blocks+i])
		}
	}
	length := int(flat[0]&15)<<4 | int(flat[1])>>4
	out := make([]byte, length)
	for i := range out {
		out[i] = flat[i+1]<<4 | flat[i+2]>>4
	}
	return string(out)
}
