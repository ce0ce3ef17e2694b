package netconfig

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

var update = flag.Bool("update", false, "write docs/reference/network-config.md anew")

func mustParse(t testing.TB, text string) *Document {
	t.Helper()
	d, err := Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReferenceIsUpToDate(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "network-config.md")
	if *update {
		if err := os.WriteFile(path, Reference(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, Reference()) {
		t.Errorf("%s is out of date: go test ./appliance/netconfig -update", path)
	}
}

func TestNothingIsTheDefault(t *testing.T) {
	if d := mustParse(t, ""); !reflect.DeepEqual(d, Default()) {
		t.Errorf("an empty document reads as %+v, want %+v", d, Default())
	}
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
}

// everything has a value for every key that there is.
const everything = `format = 1
[timers]
profile = "custom"
renew = "20ms"
term = "100ms"
[[overlay]]
name = "lan"
vni = 1
mtu = 1400
storm_limit = 500
[[overlay]]
name = "iot"
vni = 7
[[segment]]
name = "office"
overlay = "lan"
eligible = ["a", "b"]
preferred = "a"
mode = "active-manual"
quorum_loss = "hold"
preempt = true
hold_down = "1m30s"
[[subnet]]
cidr = "10.0.0.0/16"
overlay = "lan"
reserved = ["10.0.0.1-10.0.0.9", "10.0.1.0/24", "10.0.2.1"]
router = "10.0.0.1"
dns = ["10.0.0.2", "2001:db8::1"]
[[subnet.option]]
code = 42
value = "10.0.0.3"
[[alerts.webhook]]
name = "pager"
url = "https://example.net/hook"
secret = "0123456789abcdef"
fingerprint = "sha-256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
events = ["segment_inactive", "gate_*"]
severity = "warn"
peers = ["a", "b"]
[[alerts.command]]
name = "bell"
run = ["bell", "-n", "3"]
events = ["alone"]
severity = "error"
peers = ["a"]
[[alerts.syslog]]
name = "log"
address = "192.0.2.1:514"
transport = "tls"
fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
events = ["alone"]
severity = "error"
peers = ["a"]
[users]
list = [{name = "ada", role = "admin"}]
`

func TestBothFormsReadBack(t *testing.T) {
	for _, text := range []string{"", everything, Example} {
		d := mustParse(t, text)
		asTOML, err := d.TOML()
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range [][]byte{asTOML, asJSON} {
			again, err := Parse("", form)
			if err != nil {
				t.Errorf("%v, in\n%s", err, form)
			} else if !reflect.DeepEqual(d, again) {
				t.Errorf("%s\nreads back as %+v\nwant %+v", form, again, d)
			}
		}
		if stored, err := Read(asJSON); err != nil || !reflect.DeepEqual(d, stored) {
			t.Errorf("stored form reads as %+v, %v", stored, err)
		}
	}
}

func TestEveryKeyIsInTheTable(t *testing.T) {
	var walk func(prefix string, typ reflect.Type)
	seen := map[string]bool{}
	walk = func(prefix string, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if form, _, _ := strings.Cut(f.Tag.Get("toml"), ","); form != name && form != "-" {
				t.Errorf("%s is %s in TOML and %s in JSON", f.Name, form, name)
			}
			name = keypath.Join(prefix, name)
			switch {
			case f.Type.Kind() == reflect.Struct:
				walk(name, f.Type)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				walk(name+"[]", f.Type.Elem())
			default:
				seen[name] = true
			}
		}
	}
	walk("", reflect.TypeFor[Document]())
	for _, k := range Keys {
		if !seen[k.Name] {
			t.Errorf("key %s is in the table and in no type", k.Name)
		}
		delete(seen, k.Name)
	}
	for name := range seen {
		t.Errorf("key %s is not in the table", name)
	}
}

func TestDefaultsAreThoseOfTheTable(t *testing.T) {
	d := mustParse(t, "[[overlay]]\nname='x'\nvni=1\n[[segment]]\nname='s'\noverlay='x'\n[[subnet]]\ncidr='10.0.0.0/8'\noverlay='x'\n"+
		"[[alerts.webhook]]\nname='w'\nurl='http://x'\n[[alerts.command]]\nname='c'\nrun=['c']\n[[alerts.syslog]]\nname='l'\naddress='x:1'\n")
	have := flat(d)
	for _, k := range Keys {
		path := strings.NewReplacer("overlay[]", "overlay[x]", "segment[]", "segment[s]", "subnet[]", "subnet[10.0.0.0/8]",
			"webhook[]", "webhook[w]", "command[]", "command[c]", "syslog[]", "syslog[l]").Replace(k.Name)
		got, ok := have[path]
		if ok && k.Default != "" && got != k.Default {
			t.Errorf("%s is %s when it is left out, the table says %s", k.Name, got, k.Default)
		}
		if !ok && k.Default != "" && k.Default != "[]" {
			t.Errorf("%s has no default, the table says %s", k.Name, k.Default)
		}
	}
	if !reflect.DeepEqual(d.Segment("s"), func() Segment { s := d.Segment("other"); s.Name, s.Overlay = "s", "x"; return s }()) {
		t.Errorf("a segment that is not named has other defaults: %+v", d.Segment("other"))
	}
}

func TestWhatIsWrongIsSaidAtOnce(t *testing.T) {
	_, err := Parse("net.toml", []byte(`colour = "red"
[timers]
profile = "custom"
renew = "10ms"
term = "20ms"
[[overlay]]
name = "lan"
vnj = 3
mtu = "big"
[[overlay]]
name = "lan"
vni = 1
[[segment]]
name = "office"
overlay = "wan"
eligible = ["a", "a"]
preferred = "c"
mode = "on"
[[segment]]
name = "lab"
overlay = "lan"
mode = "active-manual"
[[subnet]]
cidr = "10.0.0.1/8"
overlay = "lan"
reserved = ["11.0.0.1"]
`))
	var all Problems
	if !errors.As(err, &all) {
		t.Fatalf("%v is no list of problems", err)
	}
	for _, want := range []string{
		"net.toml:1:1: colour: unknown key; known here: alerts, format, overlay, segment, subnet, timers, users",
		"net.toml:5:1: timers.term: 20ms holds no three renewals of 10ms",
		"net.toml:8:1: overlay[1].vnj: unknown key; do you mean vni?",
		"net.toml:9:1: overlay[1].mtu: \"big\" is not allowed: wants 0 or a number from 576 to 9216",
		"overlay[1].vni: 0 is not allowed",
		"net.toml:11:1: overlay[2].name: lan is that of overlay[1] too",
		"net.toml:15:1: segment[1].overlay: \"wan\" is not allowed: wants the name of an overlay of this document",
		"net.toml:16:18: segment[1].eligible[2]: a stands there twice",
		"net.toml:17:1: segment[1].preferred: \"c\" is not allowed",
		"net.toml:18:1: segment[1].mode: \"on\" is not allowed",
		"segment[2].preferred: mode = \"active-manual\" wants it",
		"net.toml:24:1: subnet[1].cidr: 10.0.0.1/8 has bits below its length: 10.0.0.0/8 is meant?",
		"net.toml:26:13: subnet[1].reserved[1]: \"11.0.0.1\" is not allowed",
	} {
		if !strings.Contains(all.Error(), want) {
			t.Errorf("no problem says %q, in\n%v", want, all)
		}
	}
}

func TestJSONIsAsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"{\n \"timers\": {\n  \"profil\": \"fast\"}}":         "3:3: timers.profil: unknown key; do you mean profile?",
		"{\"overlay\": [\n{\"name\": \"x\",\n \"vni\": -1}]}": "3:2: overlay[1].vni: -1 is not allowed",
		"{\"overlay\": {}}":                "1:2: overlay: a table is not allowed: wants a table, or a list of them",
		"{\"format\": 1,\n\"format\": 1}":  "2:1: format: stands there twice",
		"{\"format\": 1} {}":               "something follows",
		"{\"format\": 2}":                  "format: 2 is not allowed",
		"{\"format\": 1e3}":                "format: 1000 is not allowed",
		"{\"format\": ":                    "unexpected EOF",
		"{\"timers\": null}":               "timers: null is not allowed",
		"{\"users\": 3}":                   "users: 3 is not allowed: wants an object",
		strings.Repeat("{\"a\":", 40):      "nested too deep",
		"{" + strings.Repeat(" ", MaxSize): "at most 262144 fit",
		"{\"segment\": [\n3]}":             "2:1: segment[1]: 3 is not allowed",
	} {
		if _, err := Parse("", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

func TestDocumentsOfOtherVersions(t *testing.T) {
	newer := `{"format":1,"timers":{"profile":"default","renew":"10ms","term":"40ms","jitter":"0s"},"moon":true}`
	if _, err := Parse("", []byte(newer)); err == nil {
		t.Error("an operator's unknown key passes")
	}
	d, err := Read([]byte(newer))
	if err != nil || !reflect.DeepEqual(d, Default()) {
		t.Errorf("what newer software wrote and this form reads right: %+v, %v", d, err)
	}
	_, err = Read([]byte(strings.Replace(newer, `"format":1`, `"format":2`, 1)))
	for _, want := range []string{"form 2", "update this peer", "timers.jitter", "moon"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a document that needs form 2: %v, want %q", err, want)
		}
	}
	older := `{"format":1}`
	if d, err := Read([]byte(older)); err != nil || !reflect.DeepEqual(d, Default()) {
		t.Errorf("a document without newer keys: %+v, %v", d, err)
	}
}

func TestDiff(t *testing.T) {
	a := mustParse(t, Example+"[users]\nada = 'secret'\n")
	b := mustParse(t, strings.NewReplacer(`preferred = "a"`, `preferred = "b"`, "[[subnet]]", "[[overlay]]\nname = 'first'\nvni = 9\n[[subnet]]").Replace(Example)+"[users]\nada = 'other'\n")
	b.Overlays[0], b.Overlays[1] = b.Overlays[1], b.Overlays[0] // order means nothing
	text := Text(Diff(a, b))
	want := `+ overlay[first].engine = "user"
+ overlay[first].foreign_dhcp = false
+ overlay[first].mtu = 0
+ overlay[first].name = "first"
+ overlay[first].storm_limit = 20000
+ overlay[first].underlay = "untrusted"
+ overlay[first].vni = 9
~ segment[office].preferred: "a" -> "b"
~ users: (16 bytes) -> (15 bytes)
`
	if text != want {
		t.Errorf("have\n%s\nwant\n%s", text, want)
	}
	if d := Diff(a, a); d != nil {
		t.Errorf("a document differs from itself: %v", d)
	}
}

func TestUnified(t *testing.T) {
	a := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n"
	b := "1\n2\n3\nfour\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n"
	want := `--- a
+++ b
@@ -1,7 +1,7 @@
 1
 2
 3
-4
+four
 5
 6
 7
@@ -13,3 +13,4 @@
 13
 14
 15
+16
`
	if have := Unified("a", "b", a, b); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
	if have := Unified("a", "b", a, a); have != "" {
		t.Errorf("equal texts: %s", have)
	}
	if have := Unified("a", "b", "", "x\n"); have != "--- a\n+++ b\n@@ -0,0 +1,1 @@\n+x\n" {
		t.Errorf("from nothing: %q", have)
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{40 * time.Millisecond: "40ms", 90 * time.Second: "1m30s", time.Minute: "1m", 24 * time.Hour: "24h", 0: "0s", 100 * time.Minute: "1h40m"} {
		if have := Duration(d).String(); have != want {
			t.Errorf("%v reads %s, want %s", d, have, want)
		}
	}
}

// FuzzParse: what is accepted is written and read back the same, in both forms, and differs from itself in nothing.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", everything, Example, "{}", `{"segment":[{"name":"x"}]}`, "a.b = [[1], {c = 2}]", "[[a]]\n[[a.b]]\n[a.b.c]\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse("", text)
		if err != nil {
			_ = err.Error()
			return
		}
		raw, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if diff := Diff(d, again); diff != nil {
			t.Fatalf("%s\nreads back with differences: %v", raw, diff)
		}
	})
}

// TestTheKernelEngineWantsItsLimitsSaid: it encrypts nothing, filters no DHCP and serves no addresses.
func TestTheKernelEngineWantsItsLimitsSaid(t *testing.T) {
	const base = "[[overlay]]\nname = 'lan'\nvni = 1\n"
	for text, want := range map[string]string{
		"engine = 'kernel'":                       `underlay = "wireguard"`,
		"engine = 'auto'\nunderlay = 'untrusted'": `"trusted"`,
		"engine = 'auto'\nunderlay = 'wireguard'": "foreign_dhcp = true",
		"engine = 'auto'\nunderlay = 'trusted'":   "foreign_dhcp = true",
		"engine = 'kernel'\nunderlay = 'trusted'\nforeign_dhcp = true\n[[subnet]]\ncidr = '10.0.0.0/8'\noverlay = 'lan'": "no subnet may be on it",
		"engine = 'dpdk'":        "not allowed",
		"underlay = 'wireguard'": "",
		"underlay = 'macsec'":    "not allowed",
		"engine = 'kernel'\nunderlay = 'wireguard'\nforeign_dhcp = true": "",
		"engine = 'kernel'\nunderlay = 'trusted'\nforeign_dhcp = true":   "",
		"engine = 'user'\nunderlay = 'trusted'":                          "",
	} {
		_, err := Parse("", []byte(base+text+"\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
