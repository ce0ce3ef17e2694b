package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestMessageExampleInDocs reads the bytes of docs/protocol/mesh.md, and writes them again.
func TestMessageExampleInDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol/mesh.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/protocol/mesh.md has no hex example")
	}
	text := regexp.MustCompile(`#.*`).ReplaceAllString(string(block[1]), "")
	example, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	hello := aHello()
	hello.Network = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	digest := Digest{true, []DigestEntry{{1, 2, 3}, {0x0a0b0c0d, 1, 255}}}
	channel := Routed{From: 0x01020304, To: 0x0a0b0c0d, Hops: 32, Payload: AppendChannel(nil, "lease", []byte("hello!!"))}
	var want []byte
	want = AppendMessage(want, KindHello, hello.Append(nil))
	want = AppendMessage(want, KindRefuse, Refuse{RefuseFull, "full"}.Append(nil))
	want = AppendMessage(want, KindDigest, digest.Append(nil))
	want = AppendMessage(want, KindChannel, channel.Append(nil))
	want = AppendMessage(want, KindPing, AppendNonce(nil, 1))
	want = AppendMessage(want, KindLeave, nil)
	want = Stream{From: 0x01020304, To: 0x0a0b0c0d, Hops: 32, Service: "membership"}.Append(want)
	if !bytes.Equal(example, want) {
		t.Errorf("the document has\n% x\nand should have\n% x", example, want)
	}
	_, body, err := ReadMessage(bytes.NewReader(example), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseHello(body); err != nil || !reflect.DeepEqual(got, hello) || got.Seen != netip.MustParseAddrPort("198.51.100.7:40000") {
		t.Errorf("%+v, %v", got, err)
	}
}
