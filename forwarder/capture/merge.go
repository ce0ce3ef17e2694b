package capture

import (
	"bufio"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// patience is how long a block waits for earlier ones of other recordings. Gateways are milliseconds apart.
	patience = 250 * time.Millisecond
	// maxWaiting bounds what waits, in bytes; more is written in the order in which it came.
	maxWaiting = 32 << 20
	// maxInterfaces bounds those of one source.
	maxInterfaces = 256
)

// Source is a recording that is being made somewhere.
type Source struct {
	Name string // goes before the names of its interfaces
	R    io.Reader
}

// Merge writes one recording out of several that go on at the same time, in the order of their times, until no more can come
// and each has ended. Whoever wants it to end ends the sources. When one breaks, the others go on, and the file says so.
func Merge(ctx context.Context, w io.Writer, comment string, sources <-chan Source) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	m := merger{out: file{w: buffered}}
	if err := m.out.section(comment); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := m.run(ctx, sources, buffered.Flush); err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	return buffered.Flush()
}

func (m *merger) run(ctx context.Context, sources <-chan Source, flush func() error) error {
	blocks := make(chan block, 64)
	tick := time.NewTicker(patience / 5)
	defer tick.Stop()
	for left := 0; left > 0 || sources != nil; {
		var err error
		select {
		case s, more := <-sources:
			if !more {
				sources = nil
				continue
			}
			go s.read(ctx, len(m.ports), blocks)
			m.ports, left = append(m.ports, nil), left+1
		case b := <-blocks:
			if b.kind == 0 {
				left--
			}
			err = m.take(b, time.Now())
		case <-tick.C:
			if err = m.write(m.ripe(time.Now())); err == nil {
				err = flush()
			}
		}
		if err != nil {
			return err
		}
	}
	return m.write(m.rest())
}

// block is one of a source, or, with kind 0, the source's end.
type block struct {
	source int
	name   string
	kind   uint32
	data   []byte
	err    error

	port  uint32 // set by the merger
	at    time.Time
	order uint64
}

// read takes a source apart until it ends. Nobody listens any more when ctx has ended.
func (s Source) read(ctx context.Context, number int, to chan<- block) {
	r := reader{r: bufio.NewReaderSize(s.R, 1<<16)}
	for {
		kind, data, err := r.next()
		b := block{source: number, name: s.Name, kind: kind, data: slices.Clone(data)}
		if err != nil {
			b = block{source: number, name: s.Name, err: err}
		}
		select {
		case to <- b:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// merger puts blocks in order. It knows the time only from its caller.
type merger struct {
	out     file
	ports   [][]uint32 // of each source: its interfaces' numbers in the file
	next    uint32
	waiting byTime
	arrived []arrival // in that order
	horizon time.Time // everything up to here has waited long enough
	bytes   int
	count   uint64
}

type arrival struct{ when, stamp time.Time }

// take keeps a block, or writes it if it is not of a moment. It answers only errors of the file: a source that is not a
// recording is over.
func (m *merger) take(b block, now time.Time) error {
	switch b.kind {
	case 0:
		return m.end(b, b.err, now)
	case blockInterface:
		about, snap, filter, err := described(b.data)
		if err == nil && len(m.ports[b.source]) >= maxInterfaces {
			err = fmt.Errorf("more than %d interfaces: %w", maxInterfaces, errBlock)
		}
		if err != nil {
			return m.end(b, err, now)
		}
		about.Name = b.name + "/" + about.Name
		m.ports[b.source] = append(m.ports[b.source], m.next)
		m.next++
		return m.out.addInterface(about, snap, filter)
	case blockPacket, blockStats:
		port, at, err := stamped(b.kind, b.data)
		if err != nil || int(port) >= len(m.ports[b.source]) {
			return m.end(b, errBlock, now)
		}
		b.at, b.port, b.order = at, m.ports[b.source][port], m.count
		m.count++
		m.bytes += len(b.data)
		heap.Push(&m.waiting, b)
		m.arrived = append(m.arrived, arrival{now, at})
	}
	if m.bytes > maxWaiting {
		return m.write(m.rest())
	}
	return nil
}

// ripe takes out, in order, what nothing earlier can come for.
func (m *merger) ripe(now time.Time) (blocks []block) {
	n := 0
	for ; n < len(m.arrived) && now.Sub(m.arrived[n].when) >= patience; n++ {
		if m.arrived[n].stamp.After(m.horizon) {
			m.horizon = m.arrived[n].stamp
		}
	}
	m.arrived = slices.Delete(m.arrived, 0, n)
	for len(m.waiting) > 0 && !m.waiting[0].at.After(m.horizon) {
		blocks = append(blocks, m.pop())
	}
	return blocks
}

// rest takes out everything.
func (m *merger) rest() (blocks []block) {
	for len(m.waiting) > 0 {
		blocks = append(blocks, m.pop())
	}
	m.arrived = m.arrived[:0]
	return blocks
}

func (m *merger) pop() block {
	b := heap.Pop(&m.waiting).(block)
	m.bytes -= len(b.data)
	return b
}

func (m *merger) write(blocks []block) error {
	for _, b := range blocks {
		binary.LittleEndian.PutUint32(b.data[8:], b.port)
		n, err := m.out.w.Write(b.data)
		m.out.bytes += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// end says in the file that a recording broke off, and why; nothing of one that ended in order.
func (m *merger) end(b block, why error, now time.Time) error {
	ports := m.ports[b.source]
	m.ports[b.source] = nil
	if why == nil || errors.Is(why, io.EOF) || len(ports) == 0 {
		return nil
	}
	if err := m.write(m.rest()); err != nil {
		return err
	}
	text := "the recording of " + b.name + " broke off: " + strings.TrimPrefix(why.Error(), "read ")
	return m.out.remark(ports[0], now, text)
}

// byTime is a heap. Blocks of one time stay in the order in which they came.
type byTime []block

func (h byTime) Len() int { return len(h) }
func (h byTime) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].order < h[j].order
}
func (h byTime) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *byTime) Push(b any) { *h = append(*h, b.(block)) }

// Pop implements heap.Interface.
func (h *byTime) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
