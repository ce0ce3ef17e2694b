package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reference of the node file")

const full = `
name = "a"
state_dir = "/srv/drawbridge"
socket = "/run/a.sock"
listen = ["192.0.2.1", "[2001:db8::1]:7000"]
advertise = ["gw.example.net", "198.51.100.1:6631"]
join = ["192.0.2.2", "b.example.net:6630"]
profile = "wan"
log.level = "debug"
[data]
cipher = "none"
offload = false
batch = 16
[[segment]]
name = "office"
interface = "eth1"
vlan = 42
[[segment]]
name = "lab"
interface = "eth1"
vlan = 43
vni = 2
mode = "passive"
[[guest]]
interface = "veth0"
[[guest]]
tap = "tap0"
vni = 2
bridge = "br0"
mtu = 1400
`

func TestFullFile(t *testing.T) {
	got, err := Parse("x.toml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Path: "x.toml", Name: "a", StateDir: "/srv/drawbridge", Socket: "/run/a.sock",
		Listen:    []string{"192.0.2.1:6630", "[2001:db8::1]:7000"},
		Advertise: []string{"gw.example.net:6630", "198.51.100.1:6631"},
		Join:      []string{"192.0.2.2:6630", "b.example.net:6630"},
		Profile:   ProfileWAN,
		Log:       Log{"debug", "text"},
		Data:      Data{CipherNone, false, 16},
		Segments: []Segment{
			{"office", "eth1", 42, 1, ModeAuto},
			{"lab", "eth1", 43, 2, ModePassive},
		},
		Guests: []Guest{{Interface: "veth0", VNI: 1}, {TAP: "tap0", VNI: 2, Bridge: "br0", MTU: 1400}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	got, err := Parse("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("got %+v, want the default", got)
	}
}

func TestNoAdvertiseDiffersFromEmpty(t *testing.T) {
	automatic, _ := Parse("", []byte(``))
	outbound, err := Parse("", []byte(`advertise = []`))
	if err != nil {
		t.Fatal(err)
	}
	if automatic.Advertise != nil || outbound.Advertise == nil {
		t.Errorf("left out: %#v, empty: %#v", automatic.Advertise, outbound.Advertise)
	}
}

func TestRefusals(t *testing.T) {
	segment := "[[segment]]\nname = \"s\"\ninterface = \"eth1\"\n"
	for text, want := range map[string]string{
		`profile = "far"`:                                            `f:1:1: profile: "far" is not allowed: wants "lan" or "wan"`,
		`listn = ["0.0.0.0:6630"]`:                                   "f:1:1: listn: unknown key; do you mean listen?",
		"\n  State_Dir = \"/x\"":                                     "f:2:3: State_Dir: unknown key; do you mean state_dir?",
		"[data]\ncompression = true":                                 "f:2:1: data.compression: unknown key; known here: batch, cipher, offload",
		"[frobnicate]\nx = 1":                                        "f:1:2: frobnicate: unknown key; known here: advertise, console, data, guest, join, listen, log, name, profile, segment, socket, state_dir",
		segment + "vlam = 3":                                         "f:4:1: segment[1].vlam: unknown key; do you mean vlan?",
		segment + "vlan = 4095":                                      "f:4:1: segment[1].vlan: 4095 is not allowed: wants a number from 0 to 4094",
		segment + "vlan = \"x\"":                                     "f:4:8: segment.vlan: wants a number from 0 to 4094",
		segment + "vlan = -1":                                        "f:4:8: segment.vlan: wants a number from 0 to 4094",
		segment + "vni = 0":                                          "f:4:1: segment[1].vni: 0 is not allowed: wants a number from 1 to 16777215",
		segment + "mode = \"active\"":                                `f:4:1: segment[1].mode: "active" is not allowed: wants "auto", "passive" or "active-manual"`,
		"[[segment]]\nname = \"s\"":                                  `f:1:3: segment[1].interface: "" is not allowed: wants the name of a network interface, at most 15 bytes`,
		segment + segment:                                            `segment[2].name: "s" is the name of segment[1] too`,
		segment + strings.Replace(segment, `"s"`, `"t"`, 1):          "f:6:1: segment[2].interface: eth1 with VLAN 0 belongs to segment[1] already",
		segment + "[[guest]]\ninterface = \"eth1\"":                  "f:5:1: guest[1].interface: eth1 belongs to segment[1] already",
		"[[guest]]\nvni = 3":                                         "f:1:3: guest[1]: wants one of interface and tap",
		"[[guest]]\ninterface = \"a\"\ntap = \"b\"":                  "f:3:1: guest[1].tap: wants one of interface and tap, has both",
		"[[guest]]\ntap = \"t\"\n[[guest]]\ntap = \"t\"":             "f:4:1: guest[2].tap: t belongs to guest[1] already",
		"[[guest]]\ntap = \"t\"\nmtu = 100":                          "f:3:1: guest[1].mtu: 100 is not allowed: wants 0 or a number from 576 to 9216",
		"[[guest]]\ninterface = \"t\"\nmtu = 1400":                   "f:3:1: guest[1].mtu: goes with tap only",
		"[[guest]]\ntap = \"interface-too-long\"":                    "f:2:1: guest[1].tap: \"interface-too-long\" is not allowed",
		`console = "gw:8630"`:                                        `f:1:1: console: "gw:8630" is not allowed: wants IP:port`,
		`listen = []`:                                                "f:1:1: listen: \"[]\" is not allowed: wants a list of at least one IP:port",
		`listen = ["0.0.0.0:6630", "localhost:6630"]`:                `f:1:27: listen[2]: "localhost:6630" is not allowed: wants a list of at least one IP:port`,
		`listen = "0.0.0.0:6630"`:                                    "f:1:10: listen: wants a list of at least one IP:port",
		`advertise = ["0.0.0.0:6630"]`:                               `f:1:14: advertise[1]: "0.0.0.0:6630" is not allowed`,
		`join = ["300.1.1.1:6630"]`:                                  `f:1:9: join[1]: "300.1.1.1:6630" is not allowed`,
		`join = ["a b:6630"]`:                                        `f:1:9: join[1]: "a b:6630" is not allowed`,
		`name = "Büro"`:                                              `f:1:1: name: "Büro" is not allowed: wants the name of this peer`,
		`state_dir = "var"`:                                          `f:1:1: state_dir: "var" is not allowed: wants an absolute path`,
		`socket = "/` + strings.Repeat("x", maxSocket) + `"`:         "wants an absolute path of at most 107 bytes",
		"[log]\nlevel = \"loud\"":                                    `f:2:1: log.level: "loud" is not allowed: wants "debug", "info", "warn" or "error"`,
		"log.format = \"xml\"":                                       `f:1:1: log.format: "xml" is not allowed: wants "text" or "json"`,
		"[data]\ncipher = \"rot13\"":                                 `f:2:1: data.cipher: "rot13" is not allowed: wants "aes-128-gcm" or "none"`,
		"[data]\nbatch = 0":                                          `f:2:1: data.batch: 0 is not allowed: wants a number from 1 to 1024`,
		"[data]\noffload = \"yes\"":                                  "f:2:11: data.offload: wants true or false",
		"name = \"a\"\nname = \"b\"":                                 "f:2:",
		"name = ":                                                    "f:1:",
		"segment = [{name = \"s\", interface = \"e\", vlan = 5000}]": "f:1:42: segment[1].vlan: 5000 is not allowed",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %v", text, err, want)
		}
		var p *Problem
		if !errors.As(err, &p) || p.Line < 1 || p.Column < 1 {
			t.Errorf("%s\nis refused without a position: %v", text, err)
		}
	}
}

func TestAllProblemsInOrderOfTheFile(t *testing.T) {
	_, err := Parse("f", []byte("state_dir = \"x\"\n[log]\nlevel = \"x\"\nlevl = 1\n"))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "f:1:1: state_dir") || !strings.HasPrefix(lines[1], "f:3:1: log.level") || !strings.HasPrefix(lines[2], "f:4:1: log.levl") {
		t.Errorf("got\n%v", err)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.toml"))
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "drawbridge init") {
		t.Errorf("got %v", err)
	}
}

func TestWrittenFileReadsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etc", "drawbridge.toml")
	values := Values{Name: "a", StateDir: "/srv/x", Listen: []string{"192.0.2.1:6630"}, Advertise: []string{}, Join: []string{"192.0.2.2:6630"}}
	if wrote, err := Write(path, values); err != nil || !wrote {
		t.Fatalf("wrote %v: %v", wrote, err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Path, want.Name, want.StateDir = path, "a", "/srv/x"
	want.Listen, want.Advertise, want.Join = values.Listen, values.Advertise, values.Join
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if wrote, err := Write(path, Values{Name: "b"}); err != nil || wrote {
		t.Errorf("a node file was written over: %v %v", wrote, err)
	}
}

func TestWrittenFileNamesEveryKey(t *testing.T) {
	text := string(Template(Values{}))
	for _, k := range Keys {
		key := k.Name[strings.LastIndexByte(k.Name, '.')+1:]
		if !strings.Contains(text, key+" = ") {
			t.Errorf("%s is not in the file that init writes", k.Name)
		}
	}
	if c, err := Parse("", []byte(text)); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("the file that says nothing is not the default: %+v %v", c, err)
	}
}

// Uncommenting everything must give a valid file, or the comments lie about the syntax.
func TestCommentedExamplesAreValid(t *testing.T) {
	var text []string
	for line := range strings.Lines(string(Template(Values{}))) {
		if !strings.HasPrefix(line, "# ") {
			line = strings.TrimPrefix(line, "#")
		}
		text = append(text, line)
	}
	if _, err := Parse("t", []byte(strings.Join(text, ""))); err != nil {
		t.Error(err)
	}
}

func TestEveryFieldIsInTheTable(t *testing.T) {
	var walk func(prefix string, typ reflect.Type)
	fields := 0
	walk = func(prefix string, typ reflect.Type) {
		for f := range typ.Fields() {
			name := f.Tag.Get("toml")
			switch {
			case name == "-":
			case f.Type.Kind() == reflect.Struct:
				walk(prefix+name+".", f.Type)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				walk(prefix+name+"[].", f.Type.Elem())
			default:
				fields++
				if _, ok := lookUp(prefix + name); !ok {
					t.Errorf("%s is not in the table of keys", prefix+name)
				}
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	if fields != len(Keys) {
		t.Errorf("%d fields, %d keys in the table", fields, len(Keys))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add(Template(Values{Name: "a", Advertise: []string{}}))
	f.Add([]byte("segment = [{name=\"s\"}, 3]\n[[guest]]\n\"a.b\"=1"))
	f.Add([]byte("listen = [[], {}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f", text)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
		if err == nil && len(c.check()) > 0 {
			t.Fatalf("accepted with problems %v", c.check())
		}
	})
}

func TestReference(t *testing.T) {
	const path = "../../docs/reference/node-file.md"
	want := Reference()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the table of keys says (%v); go test ./appliance/config -update writes it", path, err)
	}
}
