package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the types of the API")

var here = Config{Source: "..", Packages: "../../../build/npm/node_modules"}

// committed is dist as it is in the repository.
func committed(t *testing.T) Files {
	t.Helper()
	files := Files{}
	err := filepath.WalkDir("../dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		files[filepath.ToSlash(strings.TrimPrefix(name, "../dist/"))] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestBundleIsThatOfTheSources(t *testing.T) {
	if _, err := os.Stat(here.Packages); err != nil {
		if os.Getenv("DRAWBRIDGE_EVERYTHING") != "" {
			t.Fatal(err)
		}
		t.Log("not compared: no npm packages here; `make console` fetches them")
		return
	}
	made, err := Bundle(here)
	if err != nil {
		t.Fatal(err)
	}
	old := committed(t)
	if a, b := slices.Sorted(maps.Keys(made)), slices.Sorted(maps.Keys(old)); !slices.Equal(a, b) {
		t.Fatalf("the sources make %v, but dist has %v: run `make console` and commit dist", a, b)
	}
	for name := range made {
		if !bytes.Equal(made[name], old[name]) {
			t.Errorf("dist/%s differs from what the sources make: run `make console` and commit dist", name)
		}
	}
}

func TestTypesAreThoseOfTheAPI(t *testing.T) {
	now, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("../"+TypesFile, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile("../" + TypesFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(now, old) {
		t.Errorf("%s is out of date: go test ./web/console/build -update writes it", TypesFile)
	}
}

// mostAtFirst is the budget of the first load in bytes, compressed.
const mostAtFirst = 150_000

func TestFirstLoadIsSmall(t *testing.T) {
	files := committed(t)
	sum := 0
	for _, name := range files.FirstLoad() {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = z.Write(files[name])
		_ = z.Close()
		sum += b.Len()
		t.Logf("%-28s %6d B, %6d compressed", name, len(files[name]), b.Len())
	}
	if sum > mostAtFirst || sum < 10_000 {
		t.Errorf("first load is %d bytes, want at most %d, and not nothing", sum, mostAtFirst)
	}
}

// call finds where the page asks the API for something: read, change, address, useFeed and the like with a literal.
var call = regexp.MustCompile(`(?:read|change|address|download|useFeed|stream)\(\s*"([^"]+)"`)

// Every path goes through src/api.ts, which puts /api/v1 before it; these are all that the page asks for.
func TestThePageCallsOnlyWhatTheDocumentHas(t *testing.T) {
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = filepath.WalkDir("../src", func(name string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() || !strings.HasSuffix(name, ".ts") && !strings.HasSuffix(name, ".tsx") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if base := filepath.Base(name); base != "api.ts" && base != "api.gen.ts" {
			if bytes.Contains(text, []byte("/api/v1")) && base != "about.tsx" { // which links to the document itself
				t.Errorf("%s writes a path of the API by hand; use read, change or address of api.ts", name)
			}
			if base != "sse.ts" && base != "live.ts" && base != "capture.tsx" && bytes.Contains(text, []byte("fetch(")) {
				t.Errorf("%s fetches by itself; use api.ts or live.ts", name)
			}
		}
		for _, m := range call.FindAllSubmatch(text, -1) {
			method, path, isChange := strings.Cut(string(m[1]), " ")
			if !isChange {
				method, path = "GET", method
			}
			if _, ok := d.Paths[prefix+path][strings.ToLower(method)]; !ok {
				t.Errorf("%s calls %s %s, which the document does not have", name, method, path)
			}
			calls++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 10 {
		t.Errorf("found %d calls: the pattern misses them", calls)
	}
}

// Dark is written twice, for those who prefer it and for those who chose it.
func TestDarkIsDark(t *testing.T) {
	text, err := os.ReadFile("../src/style/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	values := func(after string) []string {
		_, rest, ok := strings.Cut(string(text), after)
		if !ok {
			t.Fatalf("tokens.css has no %s", after)
		}
		block, _, _ := strings.Cut(rest, "}")
		return strings.Fields(block)
	}
	if chosen, preferred := values(`:root[data-theme="dark"] {`), values(`:root:not([data-theme="light"]) {`); !slices.Equal(chosen, preferred) {
		t.Error("the chosen dark and the preferred dark differ")
	}
}
