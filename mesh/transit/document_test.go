package transit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

func document(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/protocol/data.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// example is the named hexadecimal block of the document; what stands behind "|" is a remark, and so is
// the offset in front of ":". got is shown when the block is missing or differs.
func example(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	block := regexp.MustCompile("(?s)```hex " + name + "\n(.*?)```").FindStringSubmatch(document(t))
	if block == nil {
		t.Fatalf("there is no example %q; it is\n%s", name, hex.Dump(got))
	}
	digits := regexp.MustCompile(`(?m)^\s*[0-9a-f]+:|\|.*$|\s`).ReplaceAllString(block[1], "")
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatalf("example %q: %v", name, err)
	}
	if got != nil && !bytes.Equal(b, got) {
		t.Fatalf("example %q is\n%swant\n%s", name, hex.Dump(b), hex.Dump(got))
	}
	return b
}

const exampleIndex = 0x0badcafe

// examplePlane is peer 0a0a0a0a with a link to 0b0b0b0b, behind which is 0c0c0c0c.
func examplePlane(t *testing.T) (*still, *Link) {
	n := newStill(t, 0x0a0a0a0a)
	l := n.neighbour(0x0b0b0b0b, exampleIndex)
	n.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{0x0b0b0b0b: 0x0b0b0b0b, 0x0c0c0c0c: 0x0b0b0b0b}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{0x0a0a0a0a: {0x0b0b0b0b}}})
	n.s.thread = 1
	l.tx.Load().counters[1].n = 5
	n.unicasts.Store(9)
	return n, l
}

// hearer is the other end of examplePlane's link, under another id.
func hearer(t *testing.T, id drawbridge.PeerID) *still {
	n := newStill(t, id)
	n.neighbour(0x0a0a0a0a, exampleIndex)
	return n
}

var arp = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0x5e, 0x10, 0, 0x01, 0x08, 0x06,
	0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0x5e, 0x10, 0, 0x01, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2,
}

// independentKey derives key and iv and seals with nothing of ours: as the document says.
func independentSeal(t *testing.T, secret, clear, plain []byte) []byte {
	block, err := aes.NewCipher(secret[:16])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := bytes.Clone(secret[16:])
	for i := range 6 {
		nonce[6+i] ^= clear[5+i]
	}
	return gcm.Seal(bytes.Clone(clear), nonce, plain, clear)
}

// TestExampleKey derives the key of the examples independently and finds it in the document.
func TestExampleKey(t *testing.T) {
	k := secure.RxKey{Index: exampleIndex, Cipher: secure.CipherAES128GCM, Nonce: exampleNonce()}
	message := example(t, "key announcement", k.Append([]byte{controlKey}))
	info := append(append([]byte("drawbridge rx "), 1), message[1:5]...)
	secret, err := hkdf.Key(sha256.New, exampleExporter(), message[6:38], string(info), 28)
	if err != nil {
		t.Fatal(err)
	}
	example(t, "key and iv", secret)
}

// TestExampleFrame seals the frame of the document and opens what is written there.
func TestExampleFrame(t *testing.T) {
	n, _ := examplePlane(t)
	h := drawbridge.Header{Dest: 0x0c0c0c0c, VNI: 77, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 7)}
	n.s.Send(&h, &drawbridge.Packet{Frame: append(make([]byte, 0, 300), arp...)})
	d := example(t, "frame", n.sealed()[0].data)
	secret := example(t, "key and iv", nil)
	plain := example(t, "frame plain text", nil)
	if want := independentSeal(t, secret, d[:clearLen], plain); !bytes.Equal(d, want) {
		t.Errorf("the plain text seals to\n%s", hex.Dump(want))
	}
	got := hearer(t, 0x0c0c0c0c).hear(d)
	want := drawbridge.Header{Origin: 0x0a0a0a0a, Dest: 0x0c0c0c0c, VNI: 77, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 7)}
	if len(got) != 1 || got[0].header != want || !bytes.Equal(got[0].packet.Frame, arp) {
		t.Errorf("heard %+v", got)
	}
}

// TestExampleBundle packs two frames for a neighbour, and hears what is written there.
func TestExampleBundle(t *testing.T) {
	n, _ := examplePlane(t)
	for range 2 {
		n.s.Send(&drawbridge.Header{Dest: 0x0b0b0b0b, VNI: 77}, &drawbridge.Packet{Frame: append(make([]byte, 0, 300), arp...)})
	}
	plain := example(t, "bundle plain text", n.s.bundles[0].buf)
	d := example(t, "bundle", n.sealed()[0].data)
	if want := independentSeal(t, example(t, "key and iv", nil), d[:clearLen], plain); !bytes.Equal(d, want) {
		t.Errorf("the plain text seals to\n%s", hex.Dump(want))
	}
	got := hearer(t, 0x0b0b0b0b).hear(d)
	if len(got) != 2 || !bytes.Equal(got[0].packet.Frame, arp) || !bytes.Equal(got[1].packet.Frame, arp) {
		t.Errorf("heard %+v", got)
	}
}

// TestExampleSlice cuts a super-frame of 160 octets of payload into three, and hears the one in the middle.
func TestExampleSlice(t *testing.T) {
	n, l := examplePlane(t)
	l.max.Store(163)
	p := tcpFrame(160, 64)
	whole := bytes.Clone(p.Frame)
	n.s.Send(&drawbridge.Header{Dest: 0x0b0b0b0b, VNI: 77}, &p)
	all := n.sealed()
	if len(all) != 3 {
		t.Fatalf("%d slices", len(all))
	}
	b := hearer(t, 0x0b0b0b0b)
	plain := b.r.open(nil, all[1].data, b.links[0x0a0a0a0a].rx[0])
	plain = example(t, "slice plain text", plain)
	got := hearer(t, 0x0b0b0b0b).hear(independentSeal(t, example(t, "key and iv", nil), all[1].data[:clearLen], plain))
	if len(got) != 1 {
		t.Fatalf("heard %+v", got)
	}
	f := example(t, "run", got[0].packet.Frame[:54])
	if !bytes.Equal(got[0].packet.Frame[54:], whole[54+64:54+128]) || got[0].packet.Offload.GSO != drawbridge.GSONone {
		t.Errorf("the run is % x, %+v", got[0].packet.Frame, got[0].packet.Offload)
	}
	if binary.BigEndian.Uint32(f[38:]) != 5064 {
		t.Errorf("sequence % x", f[38:42])
	}
}

// TestExampleHeartbeat writes and takes the heartbeat of the document.
func TestExampleHeartbeat(t *testing.T) {
	n, l := examplePlane(t)
	l.beat.seq = 7
	l.beat.udp = pathClock{theirs: 900_000, at: 950 * time.Millisecond}
	l.beat.largest = [2]int{1232, 1452}
	l.beat.lost = lossMeter{any: true, top: 40, seen: ^uint64(7 << 3)}
	plain := l.fillHeartbeat(nil, &l.beat.udp, time.Second)
	sealed := n.seal(l, kindHeartbeat, plain)
	d := example(t, "heartbeat", sealed)
	if want := independentSeal(t, example(t, "key and iv", nil), d[:clearLen], example(t, "heartbeat plain text", plain)); !bytes.Equal(d, want) {
		t.Errorf("the plain text seals to\n%s", hex.Dump(want))
	}
	b := hearer(t, 0x0b0b0b0b)
	b.r.now = 1200 * time.Millisecond
	b.r.datagram(d, -1)
	far := b.links[0x0a0a0a0a]
	if far.beat.udp.theirs != 1_000_000 || far.beat.lost.top != 7 || far.beat.rtt != 250*time.Millisecond || far.max.Load() != 1472 || !far.beat.echoed {
		t.Errorf("heard %+v", far.beat)
	}
	if want := 23.0 / 255; far.beat.theirLoss != want {
		t.Errorf("their loss %v", far.beat.theirLoss)
	}
}

// TestReasonsAreDocumented compares the table with reasonNames, in order.
func TestReasonsAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(document(t), "\n## Drops\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| .{20,} \\|$").FindAllStringSubmatch(section, -1)
	if len(rows) != len(reasonNames) {
		t.Errorf("%d reasons in the table, %d in the code", len(rows), len(reasonNames))
	}
	for i := range min(len(rows), len(reasonNames)) {
		if rows[i][1] != reasonNames[i] {
			t.Errorf("row %d is %q, want %q", i, rows[i][1], reasonNames[i])
		}
	}
}

// tableOf is the rows of two or more columns below a heading, without head and rule.
func tableOf(t *testing.T, heading, column string) (rows [][]string) {
	t.Helper()
	_, section, _ := strings.Cut(document(t), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, found := strings.Cut(section, "\n| "+column+" |")
	if !found {
		t.Fatalf("no table %q below %q", column, heading)
	}
	for i, line := range strings.Split(table, "\n") {
		if i > 1 && !strings.HasPrefix(line, "|") {
			break
		}
		if i > 1 {
			var cells []string
			for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(c))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// TestTimersAreDocumented compares the table with the constants.
func TestTimersAreDocumented(t *testing.T) {
	n := newStill(t, 1)
	want := map[string]time.Duration{
		"heartbeat": n.cfg.Heartbeat, "silence": time.Duration(silentBeats * float64(n.cfg.Heartbeat)),
		"control link asked after": tcpAfter, "control link asked every": unansweredAsks, "control link good for": tcpFor,
		"key age": rekeyAfter, "key kept for late datagrams": lateFor, "announcement repeated after": announceAgain,
		"fragments wait": fragmentsFor, "origin forgotten after": forgetAfter,
		"path searched again": searchAgain, "size confirmed every": confirmEvery, "path narrower after": narrowAfter,
	}
	units := strings.NewReplacer(" ", "", "min", "m0s")
	for _, row := range tableOf(t, "State of a link", "timer") {
		if d, ok := want[row[0]]; !ok || d.String() != units.Replace(row[1]) {
			t.Errorf("%s is %s, want %v", row[0], row[1], d)
		}
		delete(want, row[0])
	}
	if len(want) > 0 {
		t.Errorf("not documented: %v", want)
	}
	list := strings.Join(strings.Fields(strings.Trim(strings.ReplaceAll(fmt.Sprint(candidates), " ", ", "), "[]")), " ")
	if text := strings.Join(strings.Fields(document(t)), " "); !strings.Contains(text, list) {
		t.Errorf("the candidates are not documented as %s", list)
	}
}

// TestOverheadIsDocumented seals one frame of each kind in the table.
func TestOverheadIsDocumented(t *testing.T) {
	n := newStill(t, 1)
	n.neighbour(2, 7)
	n.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 2}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{1: {2}}})
	owed := superFrame{payload: 500, mss: 1000}
	var want []int
	for _, tc := range []struct {
		h drawbridge.Header
		p drawbridge.Packet
	}{
		{drawbridge.Header{Dest: 2}, drawbridge.Packet{Frame: frameOf(100)}},
		{drawbridge.Header{Dest: 9}, drawbridge.Packet{Frame: frameOf(100)}},
		{drawbridge.Header{Dest: 2, Segment: 1}, drawbridge.Packet{Frame: frameOf(100)}},
		{drawbridge.Header{Dest: 9, Segment: 1}, owed.packet()},
		{drawbridge.Header{Segment: 1}, drawbridge.Packet{Frame: frameOf(100)}},
	} {
		size := len(tc.p.Frame)
		n.s.Send(&tc.h, &tc.p)
		want = append(want, len(n.sealed()[0].data)-size)
	}
	if want[3] != Overhead || Overhead != 58 {
		t.Errorf("the worst is %d, the constant %d", want[3], Overhead)
	}
	p := superFrame{payload: 5000, mss: 1000, options: 12}
	packet := p.packet()
	n.s.Send(&drawbridge.Header{Dest: 2}, &packet)
	want = append(want, len(n.sealed()[0].data)-p.mss-p.headers())
	rows := tableOf(t, "Path MTU", "frame")
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, row := range rows {
		if first, _, _ := strings.Cut(row[1], " "); first != strconv.Itoa(want[i]) {
			t.Errorf("%s: %s, want %d", row[0], row[1], want[i])
		}
		if first, _, _ := strings.Cut(row[2], " "); first != strconv.Itoa(want[i]+28) {
			t.Errorf("%s: %s, want %d", row[0], row[2], want[i]+28)
		}
	}
	sum := 0
	for _, row := range tableOf(t, "Path MTU", "octets")[:6] {
		octets, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		sum += octets
	}
	if sum != Overhead {
		t.Errorf("the parts make %d", sum)
	}
	a, _ := pairOfStills(t)
	l := a.links[2]
	l.max.Store(1500 - 28)
	if l.mtu() != 1414 || a.MTU(2) != 1414 {
		t.Errorf("1,500 with IPv4 carries %d", l.mtu())
	}
	for _, size := range []int{1414, 1415} {
		o := superFrame{payload: size - 54, mss: 2000}.packet()
		a.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 2}})
		a.s.Send(&drawbridge.Header{Dest: 9, Segment: 1, Epoch: 1}, &o)
		if got := len(a.sealed()); got != size-1413 {
			t.Errorf("a frame of %d in %d datagrams", size, got)
		}
	}
}
