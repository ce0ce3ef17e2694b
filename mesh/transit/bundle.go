package transit

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// bundleLen is the room of a bundle's plain text: that of the largest datagram.
const bundleLen = 9216

// entryLen stands in front of each frame of a bundle: the length of its plain text.
const entryLen = 2

// bundle is small frames for one link that leave in one datagram. A frame of 64 octets costs the underlay as much as
// one of 1,400, and sealing sixteen together takes a quarter of the time of sealing each. Nothing waits for it: a
// bundle holds what one batch brought, and goes with it.
type bundle struct {
	link   *Link
	buf    []byte
	frames int
}

// pack puts plain into the bundle of a link; false when it is too long to share a datagram with another.
func (s *Sender) pack(l *Link, plain []byte) bool {
	room := l.largest() - clearLen - secure.TagLen
	if 2*(entryLen+len(plain)) > room {
		return false
	}
	b := s.bundleOf(l)
	if len(b.buf)+entryLen+len(plain) > room {
		b.pad(room)
		s.settle(b)
	}
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(len(plain)))
	b.buf = append(b.buf, plain...)
	b.frames++
	return true
}

// pad makes a full bundle as long as every other full one, so that the kernel takes them as one message; not when an
// eighth of it would be air.
func (b *bundle) pad(room int) {
	if n := len(b.buf); room-n <= room/8 {
		b.buf = b.buf[:room]
		clear(b.buf[n:])
	}
}

func (s *Sender) bundleOf(l *Link) *bundle {
	if s.packed != nil && s.packed.link == l {
		return s.packed
	}
	s.packed = s.anyBundle(l)
	return s.packed
}

func (s *Sender) anyBundle(l *Link) *bundle {
	var free *bundle
	for _, b := range s.bundles {
		if b.link == l {
			return b
		}
		if b.frames == 0 {
			free = b
		}
	}
	if free == nil {
		free = &bundle{buf: make([]byte, 0, bundleLen)}
		s.bundles = append(s.bundles, free)
	}
	free.link = l
	return free
}

// settleLink seals what is packed for a link, so that what is sent next comes behind it.
func (s *Sender) settleLink(l *Link) {
	for _, b := range s.bundles {
		if b.link == l && b.frames > 0 {
			s.settle(b)
		}
	}
}

func (s *Sender) settleAll() {
	for _, b := range s.bundles {
		if b.frames > 0 {
			s.settle(b)
		}
	}
}

// settle seals a bundle; a single frame goes as such.
func (s *Sender) settle(b *bundle) {
	plain, kind, frames := b.buf, byte(kindBundle), b.frames
	if frames == 1 {
		plain, kind = plain[entryLen:entryLen+int(binary.BigEndian.Uint16(plain))], kindFrame
	}
	b.buf, b.frames = b.buf[:0], 0
	if s.used == len(s.messages) {
		s.send()
	}
	n := clearLen + len(plain) + secure.TagLen
	ln := lane{link: b.link, key: b.link.tx.Load()}
	switch {
	case ln.key == nil:
		s.plane.drops.add(dropLinkDown, frames)
		return
	case !s.reserveLane(&ln, 1, n, n):
		s.plane.drops.add(dropKeyExhausted, frames)
		return
	}
	ln.first.frames += frames - 1
	b.link.counted.txFrames.Add(uint64(frames))
	b.link.counted.txBytes.Add(uint64(n))
	s.seal(ln.first.buf[ln.at:], ln.key, ln.counter, kind, plain)
}

// one sends a frame that fits into one datagram to all lanes: packed where it is small, sealed at once where not.
func (s *Sender) one(plain []byte) {
	kept := s.lanes[:0]
	for i := range s.lanes {
		ln := &s.lanes[i]
		if ln.key == nil || !s.pack(ln.link, plain) {
			kept = append(kept, *ln)
		}
	}
	s.lanes = kept
	n := clearLen + len(plain) + secure.TagLen
	if len(kept) > 0 && s.reserve(1, n, n) {
		s.sealAll(plain, 0, n)
		s.flushControl()
	}
}

// bundle opens a datagram of several frames and takes them one by one. They are delivered where they lie.
func (r *reader) bundle(d []byte, k *rxKey) {
	at := r.head + frontRoom
	if at+len(d)+backRoom > len(r.arena) {
		r.finish()
		at = frontRoom
	}
	plain := r.open(r.arena[at:at:len(r.arena)], d, k)
	if plain == nil {
		return
	}
	r.head = at + len(plain)
	k.link.heard.Store(int64(r.now))
	k.link.counted.rxBytes.Add(uint64(len(d)))
	if frames := r.takeApart(plain, k.link); frames > 0 {
		k.link.counted.rxFrames.Add(uint64(frames))
		return
	}
	r.plane.drops.add(dropMalformed, 1)
}

// takeApart takes the frames of a bundle one by one and answers how many there were: none when the lengths do not add
// up from the start.
func (r *reader) takeApart(plain []byte, from *Link) (frames int) {
	for len(plain) >= entryLen {
		n := int(binary.BigEndian.Uint16(plain))
		plain = plain[entryLen:]
		if n == 0 { // the rest is padding
			break
		}
		if n > len(plain) {
			if frames > 0 {
				r.plane.drops.add(dropMalformed, 1)
			}
			break
		}
		r.bundled(plain[:n:n], from)
		plain = plain[n:]
		frames++
	}
	return frames
}

// bundled takes one frame of a bundle, which is whole.
func (r *reader) bundled(plain []byte, from *Link) {
	payload, ok := r.meta.parse(plain)
	if !ok || r.meta.flags&flagPiece != 0 {
		r.plane.drops.add(dropMalformed, 1)
		return
	}
	if r.forward(plain, from) {
		r.deliverWhole(drawbridge.Frame(payload))
	}
}
