package transit

import (
	"context"

	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// controlQueue is how many frames of control links may wait: the path is a fall-back, and what it cannot
// take must not fill memory.
const controlQueue = 256

// controlFrame is the plain text of a datagram that came over a control link.
type controlFrame struct {
	link  *Link
	plain []byte
}

// byControl keeps a plain text for the control link, which is encrypted itself. Pieces come from the last
// to the first; flushControl turns them round.
func (s *Sender) byControl(l *Link, plain []byte) {
	msg := make([]byte, 1, 1+len(plain))
	msg[0] = controlFrameMsg
	s.control = append(s.control, controlFrame{l, append(msg, plain...)})
}

// flushControl hands what byControl kept to the control links.
func (s *Sender) flushControl() {
	for i := len(s.control) - 1; i >= 0; i-- {
		f := s.control[i]
		if err := f.link.cfg.Control(f.plain); err != nil {
			s.plane.drops.add(dropControlFull, 1)
		}
		s.control[i] = controlFrame{}
	}
	s.control = s.control[:0]
}

// takeControlFrame queues a frame of a control link for runControl.
func (p *Plane) takeControlFrame(l *Link, plain []byte) {
	if len(plain) > messageLen {
		p.drops.add(dropMalformed, 1)
		return
	}
	select {
	case p.tcp <- controlFrame{l, append(make([]byte, 0, len(plain)+backRoom), plain...)}:
	default:
		p.drops.add(dropControlFull, 1)
	}
}

// runControl handles frames of control links as a reader handles those of a socket.
func (p *Plane) runControl(ctx context.Context) {
	r := &reader{plane: p, conn: -1, message: -1, recv: p.cfg.Receiver(), relay: p.Sender(), arena: make([]byte, arenaLen), scratch: make([]byte, 1<<16)}
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-p.tcp:
			r.now = p.now()
			r.control(f)
			for more := true; more; {
				select {
				case f = <-p.tcp:
					r.control(f)
				default:
					more = false
				}
			}
			r.finish()
		}
	}
}

func (r *reader) control(f controlFrame) {
	if f.link.closed.Load() {
		r.plane.drops.add(dropLinkDown, 1)
		return
	}
	a := r.assemblyOf(f.link)
	if a != nil && a.end+len(f.plain)+clearLen+secure.TagLen > a.limit {
		r.close(a)
		a = nil
	}
	at := r.head + frontRoom
	if a != nil {
		at = a.end
	} else if at+len(f.plain)+2*backRoom > len(r.arena) {
		r.finish()
		at = frontRoom
	}
	plain := append(r.arena[at:at:len(r.arena)], f.plain...)
	payload, ok := r.meta.parse(plain)
	if !ok {
		r.plane.drops.add(dropMalformed, 1)
		return
	}
	f.link.counted.rxFrames.Add(1)
	f.link.counted.rxBytes.Add(uint64(len(plain)))
	if r.forward(plain, f.link) {
		r.place(payload, at, a, f.link)
	}
}
