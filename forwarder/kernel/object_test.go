package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// The object in the repository is what the sources say, wherever the compiler is that made it.
func TestObjectIsOfTheSources(t *testing.T) {
	version, err := exec.Command("clang", "-dumpversion").Output()
	if got := strings.TrimSpace(string(version)); err != nil || got != builtBy {
		t.Logf("not compared: clang is %q here, want %s (%v)", got, builtBy, err)
		return
	}
	again := filepath.Join(t.TempDir(), "dataplane.o")
	if out, err := exec.Command("sh", "bpf/build.sh", again).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(again)
	must(t, err)
	if !bytes.Equal(b, dataplane) {
		t.Error("bpf/dataplane.o is not what bpf/ makes: run go generate ./forwarder/kernel")
	}
}

// TestStackHoldsWholeWords: the verifiers up to Linux 6.12 refuse smaller stores to a loader without CAP_PERFMON (bpf/maps.h). They say so where
// there is such a kernel (TestProgramsNeedNoPerfmon in make vm-test), and this everywhere.
func TestStackHoldsWholeWords(t *testing.T) {
	spec, err := object()
	must(t, err)
	for name, p := range spec.Programs {
		for i, ins := range p.Instructions {
			upper := ins.OpCode.Size() == asm.Word && uint16(ins.Offset)%8 == 4 // which is never kept track of
			if ins.OpCode.Class().IsStore() && ins.Dst == asm.RFP && ins.OpCode.Size() != asm.DWord && !upper {
				t.Errorf("%s, instruction %d writes part of a word: %v", name, i, ins)
			}
		}
	}
}

func TestLayoutsAreThoseOfThePrograms(t *testing.T) {
	spec, err := object()
	must(t, err)
	for name, value := range map[string]any{
		"mac": mac{}, "place": place{}, "peer": peer{}, "segment": segment{}, "children": children{}, "port": port{}, "ports": ports{}, "constants": constants{}, "traffic": traffic{}, "storm": storm{},
	} {
		var c *btf.Struct
		must(t, spec.Types.TypeByName(name, &c))
		typ := reflect.TypeOf(value)
		if int(c.Size) != int(typ.Size()) || len(c.Members) != typ.NumField() {
			t.Errorf("%s: %d octets in %d fields in C, %d in %d in Go", name, c.Size, len(c.Members), typ.Size(), typ.NumField())
			continue
		}
		for i, m := range c.Members {
			if f := typ.Field(i); uintptr(m.Offset.Bytes()) != f.Offset || !strings.EqualFold(strings.ReplaceAll(m.Name, "_", ""), f.Name) && m.Name != "b" && m.Name != "zero" {
				t.Errorf("%s: field %d is %s at %d in C, %s at %d in Go", name, i, m.Name, m.Offset.Bytes(), f.Name, f.Offset)
			}
		}
	}
	if n := int(spec.Maps[mapCounts].MaxEntries); n != len(countNames) {
		t.Errorf("%d counters in C, %d names in Go", n, len(countNames))
	}
}
