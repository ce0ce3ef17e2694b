// Package diag makes the diagnostics bundle: an archive of what somebody far away needs to understand a peer, and nothing
// that would let them into it. Everything goes through one Redactor on its way in, also what should hold no secret: log
// lines and error texts repeat what they were given.
package diag

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// Part is one file of the bundle.
type Part struct {
	Name  string // path in the archive
	About string // what it is, for the list
	// Read makes it. An error becomes the file's content: a bundle of a sick peer is the one that is needed.
	Read func(ctx context.Context) ([]byte, error)
}

// JSON is a part that answers with a value.
func JSON[T any](name, about string, of func(ctx context.Context) (T, error)) Part {
	return Part{name, about, func(ctx context.Context) ([]byte, error) {
		v, err := of(ctx)
		if err != nil {
			return nil, err
		}
		if list := reflect.ValueOf(v); list.Kind() == reflect.Slice && list.IsNil() {
			return []byte("[]\n"), nil
		}
		return indented(v)
	}}
}

// indented is a value for people: an arrow between causes stays one.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

const (
	// patience is how long one part may take: the doctor takes a second, everything else milliseconds.
	patience = 15 * time.Second
	// maxPart bounds a file. A table of 100,000 addresses has 20 MB.
	maxPart = 64 << 20
)

// Readme is the file that says what the others are.
const Readme = "README.txt"

// Write makes the bundle: parts in their order below one directory, the README first.
func Write(ctx context.Context, w io.Writer, dir string, now time.Time, r *Redactor, parts []Part) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	if err := put(t, dir, Readme, now, []byte(List(parts))); err != nil {
		return err
	}
	for _, p := range parts {
		name, text := p.Name, []byte(nil)
		text, err := p.read(ctx)
		if err != nil {
			name, text = p.Name+".error.txt", []byte(err.Error()+"\n")
		}
		if err := put(t, dir, name, now, r.Redact(name, text)); err != nil {
			return fmt.Errorf("bundle: %s: %w", name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// read bounds a part in time and length, and survives its panic: one broken table must not cost the bundle.
func (p *Part) read(ctx context.Context) (text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			text, err = nil, fmt.Errorf("panic: %v", reason)
		}
	}()
	text, err = p.Read(ctx)
	if len(text) > maxPart {
		text = append(text[:maxPart:maxPart], "\n[cut off]\n"...)
	}
	return text, err
}

func put(t *tar.Writer, dir, name string, now time.Time, text []byte) error {
	h := &tar.Header{Name: dir + "/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: now, Format: tar.FormatPAX, Typeflag: tar.TypeReg}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(text)
	return err
}

// ErrBundle says that something is no bundle.
var ErrBundle = errors.New("not a diagnostics bundle")

// Extend copies a bundle and puts parts behind its files; a part replaces the file of its name. They go through r.
func Extend(ctx context.Context, w io.Writer, bundle io.Reader, now time.Time, r *Redactor, parts []Part) error {
	z, err := gzip.NewReader(bundle)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	in := tar.NewReader(z)
	zipped := gzip.NewWriter(w)
	out := tar.NewWriter(zipped)
	replaced := map[string]bool{}
	for _, p := range parts {
		replaced[p.Name] = true
	}
	dir := ""
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBundle, err)
		}
		name := ""
		if dir, name, _ = strings.Cut(h.Name, "/"); replaced[strings.TrimSuffix(name, ".error.txt")] {
			continue
		}
		if err := copyFile(out, h, in, dir+"/"+Readme, List(parts)); err != nil {
			return err
		}
	}
	if dir == "" {
		return fmt.Errorf("%w: it is empty", ErrBundle)
	}
	for _, p := range parts {
		text, err := p.read(ctx)
		name := p.Name
		if err != nil {
			name, text = p.Name+".error.txt", []byte(err.Error()+"\n")
		}
		if err := put(out, dir, name, now, r.Redact(name, text)); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zipped.Close())
}

// copyFile passes one file on; the README gets what is added.
func copyFile(out *tar.Writer, h *tar.Header, in io.Reader, readme, added string) error {
	if h.Name == readme {
		text, err := io.ReadAll(io.LimitReader(in, maxPart))
		if err != nil {
			return err
		}
		_, list, _ := strings.Cut(added, filesHead)
		list, _, _ = strings.Cut(list, redactedHead)
		text = append(text, "\nAdded by the command line tool on the host:\n"+strings.TrimRight(list, "\n")+"\n"...)
		h.Size = int64(len(text))
		in = bytes.NewReader(text)
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(out, in)
	return err
}

const (
	filesHead    = "Files:\n"
	redactedHead = "\nRedacted, wherever it stands:\n"
)

// List says what goes into a bundle and what does not, for people.
func List(parts []Part) string {
	var b strings.Builder
	b.WriteString("Diagnostics of a Drawbridge peer. It has the names and addresses of the network, of its hosts and of its guests.\n\n" + filesHead)
	for _, p := range parts {
		fmt.Fprintf(&b, "  %-28s %s\n", p.Name, p.About)
	}
	b.WriteString(redactedHead)
	for _, x := range Redacted {
		fmt.Fprintf(&b, "  %s\n", x)
	}
	b.WriteString("\nA part that could not be made is a file .error.txt that says why.\n")
	return b.String()
}
