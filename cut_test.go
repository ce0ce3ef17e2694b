package drawbridge

import "testing"

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 0, ""},
		{"wire", 4, "wire"},
		{"wire", 3, "wir"},
		{"Prüfstand", 3, "Pr"},
		{"Prüfstand", 4, "Prü"},
		{"€", 2, ""},
		{"€", 3, "€"},
		{"\x80\x80\x80", 2, ""}, // no character begins anywhere
	} {
		if got := Cut(c.text, c.most); got != c.want {
			t.Errorf("%q of %q, want %q", got, c.text, c.want)
		}
		if got := Cut([]byte(c.text), c.most); string(got) != c.want {
			t.Errorf("octets %q of %q, want %q", got, c.text, c.want)
		}
	}
}
