package config

import (
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("node.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		now, next      []string
	}{
		{"nothing", example, "# the same\n" + example, nil, nil},
		{"what is said is the default", "", "profile = \"lan\"\njoin = []\n[data]\nbatch = 64\n", nil, nil},
		{"at once", "", "join = [\"192.0.2.1\"]\n[log]\nlevel = \"debug\"\n", []string{"join", "log.level"}, nil},
		{"at the next start", "", "listen = [\"192.0.2.1\"]\nconsole = \"0.0.0.0\"\n[log]\nformat = \"json\"\n", nil, []string{"listen", "console", "log.format"}},
		{"to advertise nothing", "", "advertise = []\n", nil, []string{"advertise"}},
		{
			"a key of a segment", "[[segment]]\nname = \"a\"\ninterface = \"eth1\"\n[[segment]]\nname = \"b\"\ninterface = \"eth2\"\n",
			"[[segment]]\nname = \"a\"\ninterface = \"eth1\"\n[[segment]]\nname = \"b\"\ninterface = \"eth2\"\nvlan = 7\n", nil,
			[]string{"segment[2].vlan"},
		},
		{"a segment more", "", "[[segment]]\nname = \"a\"\ninterface = \"eth1\"\n", nil, []string{"segment[1]"}},
		{"a guest less", "[[guest]]\ntap = \"tap0\"\n", "", nil, []string{"guest[1]"}},
	} {
		from, to := parsed(t, c.from), parsed(t, c.to)
		if now, next := Changes(from, to); !slices.Equal(now, c.now) || !slices.Equal(next, c.next) {
			t.Errorf("%s: at once %q, next start %q; want %q, %q", c.name, now, next, c.now, c.next)
		}
		if now, next := Changes(from.TakeLive(to), to); len(now) > 0 || !slices.Equal(next, c.next) {
			t.Errorf("%s: after what counts at once was taken: at once %q, next start %q", c.name, now, next)
		}
	}
}

// TestChangesKnowEveryKey: a key that is added to the file is compared without anybody thinking of it.
func TestChangesKnowEveryKey(t *testing.T) {
	from := parsed(t, "[[segment]]\nname = \"a\"\ninterface = \"eth1\"\n[[guest]]\ntap = \"tap0\"\n")
	to := parsed(t, "name = \"x\"\nstate_dir = \"/a\"\nsocket = \"/b\"\nlisten = [\"192.0.2.1\"]\nadvertise = []\njoin = [\"192.0.2.2\"]\n"+
		"profile = \"wan\"\nconsole = \"192.0.2.1\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n[data]\ncipher = \"none\"\noffload = false\nbatch = 1\n"+
		"[[segment]]\nname = \"b\"\ninterface = \"eth2\"\nvlan = 1\nvni = 2\nmode = \"passive\"\n[[guest]]\ntap = \"tap1\"\nvni = 2\nbridge = \"br1\"\nmtu = 1400\n")
	now, next := Changes(from, to)
	for i, name := range next {
		next[i] = keypath.Plain(name)
	}
	for _, k := range Keys {
		changed := slices.Contains(now, k.Name) || slices.Contains(next, k.Name)
		if !changed && k.Name != "guest[].interface" { // excludes tap
			t.Errorf("a change of %s is not seen", k.Name)
		}
	}
}
