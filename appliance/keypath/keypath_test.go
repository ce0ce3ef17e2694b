package keypath

import "testing"

func TestInTOML(t *testing.T) {
	text := "name = \"a\"\n\n[[segment]]\nname = \"office\"\n[[segment]]\n  vlan = 7\n  [segment.alert]\n  to = [\"x\",\n    { at = 1 }]\n"
	at := InTOML([]byte(text))
	for path, want := range map[string]Position{
		"name": {1, 1}, "segment[1]": {3, 3}, "segment[1].name": {4, 1}, "segment[2].vlan": {6, 3}, "segment[2].alert": {7, 4},
		"segment[2].alert.to": {8, 3}, "segment[2].alert.to[1]": {8, 9}, "segment[2].alert.to[2].at": {9, 7},
	} {
		if at[path] != want {
			t.Errorf("%s stands at %v, want %v", path, at[path], want)
		}
	}
}

func TestMeant(t *testing.T) {
	known := []string{"name", "state_dir", "segment[].name", "segment[].interface", "timers.renew"}
	for _, c := range []struct{ table, key, want string }{
		{"", "State-Dir", "do you mean state_dir?"},
		{"", "segments", "do you mean segment?"},
		{"segment[3]", "interfaces", "do you mean interface?"},
		{"segment[3]", "vlan", "known here: interface, name"},
		{"timers", "x", "known here: renew"},
	} {
		if got := Meant(known, c.table, c.key); got != c.want {
			t.Errorf("%s in %q: %s, want %s", c.key, c.table, got, c.want)
		}
	}
}

func TestParent(t *testing.T) {
	for path, want := range map[string]string{"segment[1].vlan": "segment[1]", "segment[1]": "segment", "name": "", "to[2].at": "to[2]"} {
		if got := Parent(path); got != want {
			t.Errorf("%s is in %q, want %q", path, got, want)
		}
	}
}
