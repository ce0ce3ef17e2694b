package kernel

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
)

// dataplane is what clang made of bpf/; `go generate` makes it again, and a test that nothing changed.
//
//go:embed bpf/dataplane.o
var dataplane []byte

// Names in the object.
const (
	mapMACs       = "macs"
	mapPeers      = "peers"
	mapNeighbours = "neighbours"
	mapSegments   = "segments"
	mapTree       = "tree"
	mapLocal      = "local"
	mapCounts     = "counts"
	mapEvents     = "events"
	mapLife       = "life"
	mapGate       = "gate"
	mapTraffic    = "traffic"
	mapStorm      = "storm"
	mapEntry      = "entry"
	mapChoice     = "choice"
)

// shared are the maps that all copies of the programs have in common. Gate, traffic, storm and choice are each port's own.
var shared = []string{mapMACs, mapPeers, mapNeighbours, mapSegments, mapTree, mapLocal, mapCounts, mapEvents, mapLife, mapEntry}

// object reads dataplane, once: a copy of the programs for each interface is made from the same.
var object = sync.OnceValues(func() (*ebpf.CollectionSpec, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(dataplane))
	if err != nil {
		return nil, fmt.Errorf("read the kernel programs: %w", err)
	}
	return spec, nil
})

// copied is programs with constants of their own, and the maps that no other copy has.
type copied struct {
	programs map[string]*ebpf.Program
	own      map[string]*ebpf.Map
}

func (c *copied) close() error {
	var errs []error
	for _, p := range c.programs {
		errs = append(errs, p.Close())
	}
	for _, m := range c.own {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// copyOf loads programs with constants of their own, over the shared maps and the given gate; without one, over a
// gate that nobody opens.
func (e *Engine) copyOf(c constants, gate *ebpf.Map, names ...string) (*copied, error) {
	spec := e.spec.Copy()
	if err := spec.Variables["interface"].Set(c); err != nil {
		return nil, fmt.Errorf("constants of the kernel programs: %w", err)
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !slices.Contains(names, name) })
	replaced := maps.Clone(e.maps)
	if gate != nil {
		replaced[mapGate] = gate
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replaced})
	if err != nil {
		return nil, fmt.Errorf("load %v: %w: %s", names, ErrNotSupported, verdict(err))
	}
	defer coll.Close()
	made := &copied{map[string]*ebpf.Program{}, map[string]*ebpf.Map{}}
	for _, name := range names {
		made.programs[name] = coll.DetachProgram(name)
	}
	for _, name := range []string{mapTraffic, mapStorm, mapChoice} {
		made.own[name] = coll.DetachMap(name)
	}
	return made, nil
}

// verdict is the error with the whole of the verifier's log, if it has one.
func verdict(err error) string {
	var v *ebpf.VerifierError
	if errors.As(err, &v) {
		return fmt.Sprintf("%+v", v)
	}
	return err.Error()
}
