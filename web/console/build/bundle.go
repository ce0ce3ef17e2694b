package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// Config says where things are.
type Config struct {
	Source   string // folder with src, index.html and package.json
	Packages string // node_modules
	Output   string // dist
}

// Files are what Bundle made: content by name below dist.
type Files map[string][]byte

// entries are the files that index.html names as {{name}}.
var entries = []string{"main.tsx", "theme.ts", "style/app.css", "icons/ok.svg", "icons/warn.svg", "icons/bad.svg", "icons/stale.svg"}

// Bundle makes everything that the browser loads. The result depends on the sources and the pinned packages alone: every
// name in assets has a hash of its content, and there is no date or path in it.
func Bundle(c Config) (Files, error) {
	source, err := filepath.Abs(c.Source)
	if err != nil {
		return nil, err
	}
	packages, err := filepath.Abs(c.Packages)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(packages, "preact")); err != nil {
		return nil, fmt.Errorf("npm packages: %w; `make console` fetches them", err)
	}
	var in []string
	for _, e := range entries {
		in = append(in, "src/"+e)
	}
	made := api.Build(api.BuildOptions{
		EntryPoints: in, AbsWorkingDir: source, NodePaths: []string{packages}, Outdir: filepath.Join(source, "dist"), Outbase: filepath.Join(source, "src"),
		Bundle: true, Splitting: true, Format: api.FormatESModule, Platform: api.PlatformBrowser, Charset: api.CharsetUTF8,
		Target: api.ES2022, MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true,
		JSX: api.JSXAutomatic, JSXImportSource: "preact", LegalComments: api.LegalCommentsNone,
		EntryNames: "assets/[name]-[hash]", ChunkNames: "assets/[name]-[hash]", AssetNames: "assets/[name]-[hash]", PublicPath: "/",
		Loader:   map[string]api.Loader{".svg": api.LoaderCopy},
		Metafile: true, LogLevel: api.LogLevelSilent, TsconfigRaw: "{}",
	})
	if len(made.Errors) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(made.Errors, api.FormatMessagesOptions{}), ""))
	}
	files := Files{}
	for _, f := range made.OutputFiles {
		name, err := filepath.Rel(filepath.Join(source, "dist"), f.Path)
		if err != nil {
			return nil, err
		}
		files[filepath.ToSlash(name)] = f.Contents
	}
	if files["index.html"], err = page(source, made.Metafile); err != nil {
		return nil, err
	}
	files["LICENSES.txt"], err = licences(packages)
	return files, err
}

// page is index.html with the names that the files got.
func page(source, metafile string) ([]byte, error) {
	var meta struct {
		Outputs map[string]struct {
			EntryPoint string
			Inputs     map[string]any
		}
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(source, "index.html"))
	if err != nil {
		return nil, err
	}
	html := string(text)
	for name, out := range meta.Outputs {
		from := out.EntryPoint
		if from == "" && len(out.Inputs) == 1 { // files that are copied
			from = slices.Collect(maps.Keys(out.Inputs))[0]
		}
		if entry, ok := strings.CutPrefix(from, "src/"); ok {
			html = strings.ReplaceAll(html, "{{"+entry+"}}", "/"+strings.TrimPrefix(name, "dist/"))
		}
	}
	if _, rest, missing := strings.Cut(html, "{{"); missing {
		return nil, fmt.Errorf("index.html: nothing was made of {{%s", rest[:min(len(rest), 30)])
	}
	return []byte(html), nil
}

// licences are those of the packages that are part of the bundle, which their authors want to go with it.
func licences(packages string) ([]byte, error) {
	var all strings.Builder
	for _, name := range []string{"preact", "uplot"} {
		text, err := os.ReadFile(filepath.Join(packages, name, "LICENSE"))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&all, "%s\n%s\n\n%s\n\n", name, strings.Repeat("=", len(name)), strings.TrimSpace(string(text)))
	}
	return []byte(all.String()), nil
}

// Write replaces what is in folder by the files.
func (f Files) Write(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for name, text := range f {
		full := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// FirstLoad are the files that the home page needs before it shows something: all but those that are loaded on demand.
func (f Files) FirstLoad() (names []string) {
	html := string(f["index.html"])
	seen := map[string]bool{"index.html": true}
	queue := []string{}
	for name := range f {
		if strings.Contains(html, "/"+name+`"`) && path.Ext(name) != ".svg" {
			queue = append(queue, name)
		}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		for other := range f { // static imports are from"/x.js" or import"/x.js"; import("/x.js") is on demand
			quoted := `"/` + other + `"`
			if strings.Contains(string(f[name]), "from"+quoted) || strings.Contains(string(f[name]), "import"+quoted) {
				queue = append(queue, other)
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
