// Package capture records frames of ports as pcapng, for Wireshark and tcpdump. It costs the forwarding of frames one
// atomic load while nobody records, and never makes it wait: what the recorder cannot keep up with is lost and counted.
package capture

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// Config says what to record.
type Config struct {
	Comment   string           // goes into the file's header
	Filter    *Filter          // which frames; nil: all
	Snap      int              // bytes to keep of each frame; 0: all
	Buffer    int              // bytes between the ports and the writer, 4 MiB when 0
	MaxFrames uint64           // ends the recording; 0: no limit
	MaxBytes  int64            // of the file, ends the recording; 0: no limit
	Segments  bool             // cut super-frames into the frames of a wire
	Now       func() time.Time // time.Now when nil
}

const (
	defaultBuffer = 4 << 20
	wholeFrame    = 1 << 18 // longer than any super-frame; what tcpdump writes for "all"
)

// ErrRunning is what a second Run of the same capture returns.
var ErrRunning = errors.New("the capture is running already")

// Capture records what its taps are offered while Run runs.
type Capture struct {
	config Config
	taps   []*Tap
	ring   atomic.Pointer[ring] // nil while Run does not run
	frames atomic.Uint64
	bytes  atomic.Int64

	// Run's.
	out      file
	splitter segment.Splitter
}

// New prepares a recording.
func New(c Config) *Capture {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Buffer <= 0 {
		c.Buffer = defaultBuffer
	}
	if c.Snap <= 0 || c.Snap > wholeFrame {
		c.Snap = wholeFrame
	}
	return &Capture{config: c}
}

// Tap is what one port shows its frames. Any number of goroutines may.
type Tap struct {
	capture *Capture
	about   Interface
	port    uint32
	taken   atomic.Uint64
	lost    atomic.Uint64
	told    uint64 // of lost, in the file so far
	notes   notes
}

// Tap adds a port to the recording, before Run.
func (c *Capture) Tap(about Interface) *Tap {
	t := &Tap{capture: c, about: about, port: uint32(len(c.taps))}
	c.taps = append(c.taps, t)
	return t
}

// Offer shows a frame that crosses the port. It copies what it wants and never waits.
func (t *Tap) Offer(d forwarder.Direction, p *drawbridge.Packet) {
	r := t.capture.ring.Load()
	if r == nil || !t.capture.config.Filter.Match(d, p.Frame) {
		return
	}
	if r.put(t.port, d, p, t.capture.config.Snap, t.capture.config.Now()) {
		t.taken.Add(1)
	} else {
		t.lost.Add(1)
	}
}

// Counts is what a recording has done so far.
type Counts struct {
	Frames uint64 // written
	Bytes  int64  // of the file
	Lost   uint64 // frames that found the buffer full
}

// Counts may be asked at any time.
func (c *Capture) Counts() Counts {
	n := Counts{Frames: c.frames.Load(), Bytes: c.bytes.Load()}
	for _, t := range c.taps {
		n.Lost += t.lost.Load()
	}
	return n
}

// Run records to w until ctx ends or a limit is reached. While nothing comes, w has everything. It returns the error of
// w, which is also how a reader that hangs up ends the recording.
func (c *Capture) Run(ctx context.Context, w io.Writer) error {
	r := newRing(c.config.Buffer)
	if !c.ring.CompareAndSwap(nil, r) {
		return ErrRunning
	}
	defer c.ring.Store(nil)
	buffered := bufio.NewWriterSize(w, 1<<16)
	c.out = file{w: buffered}
	err := c.begin()
	for err == nil && ctx.Err() == nil && !c.full() {
		if b := r.next(); b != nil {
			err = c.write(b)
			r.release(b)
			continue
		}
		if err = buffered.Flush(); err != nil {
			break
		}
		if awake := r.sleep(); awake != nil {
			select {
			case <-awake:
			case <-ctx.Done():
			}
		}
	}
	if err == nil {
		c.ring.Store(nil) // what is in the ring now is the rest
		err = c.finish(r)
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	return nil
}

func (c *Capture) full() bool {
	frames, bytes := c.config.MaxFrames, c.config.MaxBytes
	return frames > 0 && c.frames.Load() >= frames || bytes > 0 && c.out.bytes >= bytes
}

func (c *Capture) begin() error {
	if err := c.out.section(c.config.Comment); err != nil {
		return err
	}
	for _, t := range c.taps {
		if err := c.out.addInterface(t.about, c.config.Snap, c.config.Filter.String()); err != nil {
			return err
		}
	}
	c.bytes.Store(c.out.bytes)
	return nil
}

func (c *Capture) finish(r *ring) error {
	for b := r.next(); b != nil && !c.full(); b = r.next() {
		err := c.write(b)
		r.release(b)
		if err != nil {
			return err
		}
	}
	for i, t := range c.taps {
		if err := c.out.stats(uint32(i), c.config.Now(), t.taken.Load()+t.lost.Load(), t.lost.Load(), t.notes.rest()); err != nil {
			return err
		}
	}
	c.bytes.Store(c.out.bytes)
	return nil
}

// write puts one record of the ring into the file.
func (c *Capture) write(b []byte) error {
	data := b[prefixLen:]
	rec := record{
		at:        time.Unix(0, int64(binary.NativeEndian.Uint64(b))),
		port:      binary.NativeEndian.Uint32(b[8:]),
		length:    int(binary.NativeEndian.Uint32(b[12:])),
		direction: forwarder.Direction(b[26]),
		data:      data,
	}
	p := drawbridge.Packet{Frame: data, Offload: segment.Vnet(b[16:])}
	if len(data) == rec.length && p.Offload.GSO != drawbridge.GSONone && c.config.Segments {
		return c.writeSegments(rec, &p)
	}
	if p.Offload.GSO != drawbridge.GSONone {
		rec.comments = []string{describe(p.Offload, rec.length)}
		p.Offload.GSO = drawbridge.GSONone
	}
	if len(data) == rec.length {
		_ = segment.Complete(&p) // a reader would take a partial checksum for damage
	}
	return c.append(rec)
}

func (c *Capture) writeSegments(rec record, p *drawbridge.Packet) (failed error) {
	err := c.splitter.Split(p, 0, func(f drawbridge.Frame) {
		if failed == nil {
			rec.data, rec.length = f, len(f)
			failed = c.append(rec)
		}
	})
	if err != nil { // it does not say what it stands for: show it as it is
		return c.append(rec)
	}
	return failed
}

func (c *Capture) append(rec record) error {
	t := c.taps[rec.port]
	lost := t.lost.Load()
	rec.missed, t.told = lost-t.told, lost
	rec.comments = append(t.notes.until(rec.at), rec.comments...)
	if err := c.out.packet(rec); err != nil {
		return err
	}
	c.frames.Add(1)
	c.bytes.Store(c.out.bytes)
	return nil
}

// describe tells the reader of a file why a frame is longer than the MTU.
func describe(o drawbridge.Offload, length int) string {
	kind := map[uint8]string{drawbridge.GSOTCPv4: "TCPv4", drawbridge.GSOTCPv6: "TCPv6", drawbridge.GSOUDP: "UDP"}[o.GSO&^drawbridge.GSOECN]
	size := max(int(o.SegmentSize), 1)
	return fmt.Sprintf("super-frame: %d %s segments of %d bytes", (length-int(o.HeaderLen)+size-1)/size, kind, size)
}
