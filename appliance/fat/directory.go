package fat

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// entrySize is that of an entry of a directory, in bytes.
const entrySize = 32

// maxName bounds a long name, in characters.
const maxName = 255

// Attributes of an entry.
const (
	label     = 0x08
	directory = 0x10
	longName  = 0x0f
)

// list reads the entries of the root directory.
func (s *System) list(b []byte) {
	var long []uint16 // of the entries that came before
	var sum byte
	for ; len(b) >= entrySize && b[0] != 0; b = b[entrySize:] {
		e := b[:entrySize]
		switch kind := e[11]; {
		case e[0] == 0xe5: // deleted
			long = nil
		case kind&0x3f == longName:
			if e[0]&0x40 != 0 {
				long = nil
			}
			if len(long) < maxName {
				long, sum = append(part(e), long...), e[13]
			}
		case kind&label != 0:
			s.Label, long = strings.TrimRight(text(e[:11]), " "), nil
		case kind&directory != 0:
			long = nil
		default:
			f := File{Name: short(e), Size: int64(binary.LittleEndian.Uint32(e[28:])), Changed: changed(e)}
			f.first = uint32(binary.LittleEndian.Uint16(e[20:]))<<16 | uint32(binary.LittleEndian.Uint16(e[26:]))
			if s.kind != 32 {
				f.first &= 0xffff
			}
			if len(long) > 0 && sum == checksum(e[:11]) {
				f.Name = string(utf16.Decode(long))
			}
			s.Files, long = append(s.Files, f), nil
		}
	}
}

// part is what one entry has of a long name: thirteen characters, or as many as come before its end.
func part(e []byte) (name []uint16) {
	for _, stretch := range [][]byte{e[1:11], e[14:26], e[28:32]} {
		for ; len(stretch) > 0; stretch = stretch[2:] {
			name = append(name, binary.LittleEndian.Uint16(stretch))
		}
	}
	if end := slices.Index(name, 0); end >= 0 {
		name = name[:end]
	}
	return name
}

// checksum ties a long name to the short one that follows it.
func checksum(name []byte) (sum byte) {
	for _, c := range name {
		sum = sum<<7 | sum>>1
		sum += c
	}
	return sum
}

// short is a name of eight characters and three, with what Windows keeps of their case.
func short(e []byte) string {
	base, more := strings.TrimRight(text(e[:8]), " "), strings.TrimRight(text(e[8:11]), " ")
	if e[12]&0x08 != 0 {
		base = strings.ToLower(base)
	}
	if e[12]&0x10 != 0 {
		more = strings.ToLower(more)
	}
	if more == "" {
		return base
	}
	return base + "." + more
}

// text takes ASCII; what a code page makes of the rest is not known.
func text(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, string(b))
}

func changed(e []byte) time.Time {
	t, d := int(binary.LittleEndian.Uint16(e[22:])), int(binary.LittleEndian.Uint16(e[24:]))
	return time.Date(1980+d>>9, time.Month(d>>5&15), d&31, t>>11, t>>5&63, t&31*2, 0, time.UTC)
}
