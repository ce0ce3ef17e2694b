package access

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestWordsCarryTheBits(t *testing.T) {
	if bits := codeWords * math.Log2(float64(len(words))); bits < 64 || len(words) != 256 {
		t.Errorf("%d words, %.1f bits", len(words), bits)
	}
	begin := map[string]string{}
	for _, w := range words {
		head := w[:min(4, len(w))]
		if begin[head] != "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" || len(w) < 3 || len(w) > 8 {
			t.Errorf("%s (and %s)", w, begin[head])
		}
		begin[head] = w
	}
}

func FuzzSpellCode(f *testing.F) {
	code := newCode()
	for _, s := range []string{code, "", strings.ToUpper(code), strings.ReplaceAll(code, " ", "-"), "acid", strings.Repeat("acid ", 9), strings.Repeat("K ", 8)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := spellCode(s)
		if got == "" {
			return
		}
		for w := range strings.SplitSeq(got, " ") {
			if !slices.Contains(words, w) {
				t.Errorf("%q becomes %q", s, got)
			}
		}
		if spellCode(got) != got || strings.Count(got, " ") != codeWords-1 {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

func TestSpellCode(t *testing.T) {
	want := "acid acorn fox unknownx"
	if got := spellCode(want); got != "" {
		t.Error(got)
	}
	if got := spellCode("ACID, acor; fox-zebr\nanchor lila  kiwi.north"); got != "acid acorn fox zebra anchor lilac kiwi north" {
		t.Errorf("%q", got)
	}
	if got := spellCode("aci acorn fox zebra anchor lilac kiwi north"); got != "" {
		t.Error("three letters of four are enough")
	}
}

func TestFirstRunCodeEnds(t *testing.T) {
	var shown []string
	f := &firstRun{announce: func(c string) { shown = append(shown, c) }}
	first := f.current(day)
	if f.current(day.Add(codeLife-1)) != first || len(shown) != 1 {
		t.Fatalf("shown %v", shown)
	}
	second := f.current(day.Add(codeLife))
	if second == first || f.matches(first, day.Add(codeLife)) {
		t.Error("a code lives for ever")
	}
	for i := range codeTries - 1 {
		if f.matches("no such code", day.Add(codeLife)) {
			t.Fatal(i)
		}
	}
	if f.matches(second, day.Add(codeLife)) {
		t.Errorf("%d wrong tries do not end a code", codeTries)
	}
	if len(shown) != 3 || !f.matches(shown[2], day.Add(codeLife)) {
		t.Errorf("shown %v", shown)
	}
}

func TestFirstRunCodesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		seen[newCode()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d codes of 1000 differ", len(seen))
	}
}
