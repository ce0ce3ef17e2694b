package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	maxBlock    = 1 << 20 // a super-frame with its comments is far shorter
	blockFrame  = 12      // type, length, and length again
	packetFixed = 20      // of a packet's body, before its data
)

// errBlock refuses what is not a recording as file writes it: little endian, times in nanoseconds.
var errBlock = errors.New("not a recording of Drawbridge")

// reader takes a recording apart. What it answers is valid until the next call.
type reader struct {
	r   io.Reader
	buf []byte
}

// next reads one block, all of it; io.EOF after the last one.
func (r *reader) next() (kind uint32, block []byte, err error) {
	r.buf = append(r.buf[:0], make([]byte, 8)...)
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return 0, nil, err
	}
	kind, length := binary.LittleEndian.Uint32(r.buf), binary.LittleEndian.Uint32(r.buf[4:])
	if length < blockFrame || length > maxBlock || length%4 != 0 {
		return 0, nil, fmt.Errorf("block of %d bytes: %w", length, errBlock)
	}
	r.buf = append(r.buf, make([]byte, length-8)...)
	if _, err := io.ReadFull(r.r, r.buf[8:]); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if again := binary.LittleEndian.Uint32(r.buf[length-4:]); again != length {
		return 0, nil, fmt.Errorf("block of %d and of %d bytes: %w", length, again, errBlock)
	}
	return kind, r.buf, nil
}

// body is a block without its frame.
func body(block []byte) []byte { return block[8 : len(block)-4] }

// described reads the description of an interface.
func described(block []byte) (i Interface, snap int, filter string, err error) {
	b := body(block)
	if len(b) < 8 || binary.LittleEndian.Uint16(b) != linkEthernet {
		return i, 0, "", fmt.Errorf("description of an interface: %w", errBlock)
	}
	clock := byte(0)
	for code, value := range eachOption(b[8:]) {
		switch {
		case code == interfaceName:
			i.Name = string(value)
		case code == interfaceAbout:
			i.Description = string(value)
		case code == interfaceOnly:
			filter = strings.TrimPrefix(string(value), "\x00")
		case code == interfaceClock && len(value) == 1:
			clock = value[0]
		}
	}
	if clock != nanoseconds {
		return i, 0, "", fmt.Errorf("interface %q, whose clock is not in nanoseconds: %w", i.Name, errBlock)
	}
	return i, int(binary.LittleEndian.Uint32(b[4:])), filter, nil
}

// eachOption goes through a list of options, as far as it is one.
func eachOption(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			code, length := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
			if code == optionEnd || 4+length > len(b) || !yield(code, b[4:4+length]) {
				return
			}
			b = b[min(4+(length+3)&^3, len(b)):]
		}
	}
}

// stamped reads the interface and time of a packet or of an interface's counts.
func stamped(kind uint32, block []byte) (port uint32, at time.Time, err error) {
	b := body(block)
	if len(b) < 12 || kind == blockPacket && len(b) < packetFixed {
		return 0, time.Time{}, fmt.Errorf("block of %d bytes: %w", len(block), errBlock)
	}
	high, low := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	return binary.LittleEndian.Uint32(b), time.Unix(0, int64(uint64(high)<<32|uint64(low))), nil
}
