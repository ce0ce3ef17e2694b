package wire

import (
	"encoding/hex"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestRecordExampleInDocs reads the bytes of the worked example in docs/protocol/topology.md.
func TestRecordExampleInDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol/topology.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/protocol/topology.md has no hex example")
	}
	lines := regexp.MustCompile("(?m)#.*$").ReplaceAllString(string(block[1]), "")
	b, err := hex.DecodeString(strings.Join(strings.Fields(lines), ""))
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	if got, err := ParseRecord(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the example reads %+v, %v; want %+v", got, err, want)
	}
	if got := AppendRecord(nil, &want); !reflect.DeepEqual(got, b) {
		t.Errorf("the example should be\n%x", got)
	}
}
