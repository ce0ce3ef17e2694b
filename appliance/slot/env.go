package slot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

const (
	// EnvSize is the size of GRUB's environment block in bytes; grub-editenv(1) makes no other.
	EnvSize = 1024
	// sector is what a disk writes whole or not at all. All that changes is kept within the first one.
	sector    = 512
	signature = "# GRUB Environment Block\n"
)

// ErrEnv says that a block is no environment block.
var ErrEnv = errors.New("no GRUB environment block")

// ParseEnv reads the state from the block that is shared with the loader. Strange values count as "cannot boot".
func ParseEnv(block []byte) (State, error) {
	if len(block) < EnvSize || !bytes.HasPrefix(block, []byte(signature)) {
		return State{}, ErrEnv
	}
	values := map[string]string{}
	for line := range strings.Lines(string(block[len(signature):EnvSize])) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			values[name] = value
		}
	}
	s := State{First: A, Slots: map[Name]Record{}, Reset: values["reset"] == "1"}
	if values["first"] == string(B) {
		s.First = B
	}
	for _, n := range []Name{A, B} {
		tries, err := strconv.Atoi(values[string(n)+"_tries"])
		if err != nil || tries < 0 || tries > GoodBoots {
			tries = 0
		}
		version, _ := strconv.ParseUint(values[string(n)+"_version"], 10, 64) // none: empty
		s.Slots[n] = Record{Good: values[string(n)+"_good"] == "1", Tries: tries, Version: version}
	}
	return s, nil
}

// Env is the block that holds the state.
func (s State) Env() []byte {
	var b bytes.Buffer
	b.WriteString(signature)
	fmt.Fprintf(&b, "first=%s\nreset=%s\n", s.First, flag(s.Reset))
	for _, n := range []Name{A, B} {
		r := s.Slots[n]
		fmt.Fprintf(&b, "%s_good=%s\n%s_tries=%d\n%s_version=%d\n", n, flag(r.Good), n, r.Tries, n, r.Version)
	}
	b.Write(bytes.Repeat([]byte{'#'}, EnvSize-b.Len()))
	return b.Bytes()
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// Store is where the block is. On the appliance that is a small FAT file system in a partition of its own, in which the
// loader finds the block by the name of its file, and we by its signature: nobody ever mounts or changes anything else of
// it. In tests it is a file.
type Store struct{ Path string }

// storeSize bounds the search.
const storeSize = 1 << 20

// find reads the block and where it is.
func (f Store) find(file *os.File) (block []byte, at int64, err error) {
	all, err := io.ReadAll(io.NewSectionReader(file, 0, storeSize))
	if err != nil {
		return nil, 0, err
	}
	for i := 0; i+EnvSize <= len(all); i += sector {
		if bytes.HasPrefix(all[i:], []byte(signature)) {
			return all[i : i+EnvSize], int64(i), nil
		}
	}
	return nil, 0, fmt.Errorf("%w in %s: this disk was not written by drawbridge install", ErrEnv, f.Path)
}

// Load reads the state.
func (f Store) Load() (State, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return State{}, fmt.Errorf("boot state: %w", err)
	}
	defer file.Close()
	block, _, err := f.find(file)
	if err != nil {
		return State{}, fmt.Errorf("boot state: %w", err)
	}
	return ParseEnv(block)
}

// Save replaces the first sector of the block, in one write that is on the disk when Save returns: power fails before it
// or after it, never within.
func (f Store) Save(s State) error {
	file, err := os.OpenFile(f.Path, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return fmt.Errorf("boot state: %w", err)
	}
	_, at, err := f.find(file)
	if err == nil {
		_, err = file.WriteAt(s.Env()[:sector], at)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("boot state %s: %w", f.Path, err)
	}
	return nil
}
