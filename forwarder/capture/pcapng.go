package capture

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/drawbridge-net/drawbridge/forwarder"
)

// Block types and option codes of pcapng (draft-ietf-opsawg-pcapng-03, §4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockStats     = 5
	blockPacket    = 6

	optionEnd      = 0
	optionComment  = 1
	sectionSystem  = 3
	sectionApp     = 4
	interfaceName  = 2
	interfaceAbout = 3
	interfaceClock = 9
	interfaceOnly  = 11
	packetFlags    = 2
	packetMissed   = 4
	statsTaken     = 4
	statsMissed    = 5

	byteOrderMagic = 0x1a2b3c4d
	nanoseconds    = 9
	linkEthernet   = 1
)

// Interface is what a capture file says of the port that frames crossed.
type Interface struct {
	Name        string // the port's
	Description string // such as the segment behind it
}

// record is one frame in a capture file.
type record struct {
	port      uint32 // in the order in which interfaces were written
	direction forwarder.Direction
	at        time.Time
	length    int // of the frame; the data may be less
	data      []byte
	comments  []string
	missed    uint64 // frames that should have come between this and the one before
}

// file writes pcapng. It is written here because gopacket's writer has neither directions nor comments of packets.
type file struct {
	w     io.Writer
	block []byte // being built; kept between blocks
	bytes int64  // written so far
}

func (f *file) begin(kind uint32) {
	f.block = binary.LittleEndian.AppendUint32(f.block[:0], kind)
	f.uint32(0) // the length, set by end
}

func (f *file) uint32(v uint32) { f.block = binary.LittleEndian.AppendUint32(f.block, v) }

func (f *file) pad() {
	for len(f.block)%4 != 0 {
		f.block = append(f.block, 0)
	}
}

func (f *file) option(code uint16, value ...byte) {
	f.uint32(uint32(code) | uint32(len(value))<<16)
	f.block = append(f.block, value...)
	f.pad()
}

// text is an option that is left out when empty. Its length has 16 bits.
func (f *file) text(code uint16, s string) {
	if s != "" {
		f.option(code, []byte(s[:min(len(s), 1<<16-1)])...)
	}
}

func (f *file) texts(code uint16, all []string) {
	for _, s := range all {
		f.text(code, s)
	}
}

func (f *file) counter(code uint16, v uint64) {
	f.option(code, binary.LittleEndian.AppendUint64(nil, v)...)
}

// end closes the options and the block and writes it.
func (f *file) end() error {
	f.uint32(optionEnd)
	length := uint32(len(f.block) + 4)
	f.uint32(length)
	binary.LittleEndian.PutUint32(f.block[4:], length)
	n, err := f.w.Write(f.block)
	f.bytes += int64(n)
	return err
}

func (f *file) section(comment string) error {
	f.begin(blockSection)
	f.uint32(byteOrderMagic)
	f.uint32(1)                      // version 1.0
	f.uint32(0xffffffff)             // the section's length is
	f.uint32(0xffffffff)             // not known
	f.text(optionComment, comment)   // what the operator asked for
	f.text(sectionSystem, "Linux")   // the only system there is
	f.text(sectionApp, "Drawbridge") // the recorder
	return f.end()
}

func (f *file) addInterface(i Interface, snap int, filter string) error {
	f.begin(blockInterface)
	f.uint32(linkEthernet)
	f.uint32(uint32(snap))
	f.text(interfaceName, i.Name)
	f.text(interfaceAbout, i.Description)
	f.option(interfaceClock, nanoseconds)
	if filter != "" {
		f.text(interfaceOnly, "\x00"+filter) // 0: it is in libpcap's language
	}
	return f.end()
}

func (f *file) time(t time.Time) {
	ns := uint64(t.UnixNano())
	f.uint32(uint32(ns >> 32))
	f.uint32(uint32(ns))
}

func (f *file) packet(r record) error {
	f.begin(blockPacket)
	f.uint32(r.port)
	f.time(r.at)
	f.uint32(uint32(len(r.data)))
	f.uint32(uint32(r.length))
	f.block = append(f.block, r.data...)
	f.pad()
	f.texts(optionComment, r.comments)
	f.option(packetFlags, flagsOf(r.direction), 0, 0, 0)
	if r.missed != 0 {
		f.counter(packetMissed, r.missed)
	}
	return f.end()
}

// flagsOf is the direction in the two lowest bits of the flags (§4.3.1): 1 came in, 2 went out.
func flagsOf(d forwarder.Direction) byte {
	if d == forwarder.Outbound {
		return 2
	}
	return 1
}

func (f *file) stats(port uint32, at time.Time, taken, missed uint64, comments []string) error {
	f.begin(blockStats)
	f.uint32(port)
	f.time(at)
	f.texts(optionComment, comments)
	f.counter(statsTaken, taken)
	f.counter(statsMissed, missed)
	return f.end()
}

// remark says something about an interface in place of its counts.
func (f *file) remark(port uint32, at time.Time, text string) error {
	f.begin(blockStats)
	f.uint32(port)
	f.time(at)
	f.text(optionComment, text)
	return f.end()
}
