package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
)

func (t *tool) captureCommand() *cobra.Command {
	r := web.CaptureRequest{Where: web.AfterGate}
	var before bool
	var file string
	cmd := &cobra.Command{
		Use:   "capture {PORT | --segment NAME}",
		Short: "Frames of a port as pcapng, until interrupted",
		Long: `Frames go to standard output, or to a file with --write. With --segment: what all gateways of a segment see on it, in one file, by
time, so that a takeover can be read frame by frame; it is asked for at one of them. What happens to the port and its segment
meanwhile stands as a comment beside the next frame.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: t.completePorts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if before {
				r.Where = web.BeforeGate
			}
			switch {
			case len(args) == 1 && r.Segment != "" || len(args) == 0 && r.Segment == "":
				return usagef("name a port, or a segment with --segment")
			case len(args) == 1:
				r.Port = args[0]
			}
			return t.capture(cmd, r, file)
		},
	}
	cmd.Flags().StringVar(&r.Filter, "filter", "", "only frames that a pcap filter expression (as tcpdump has) selects")
	cmd.Flags().StringVar(&r.Segment, "segment", "", "what all gateways of this segment see there")
	t.fail(cmd.RegisterFlagCompletionFunc("segment", t.completeSegments))
	cmd.Flags().BoolVar(&before, "before-gate", false, "also frames that a shut gate stops")
	cmd.Flags().StringVarP(&file, "write", "w", "", "write to this file instead of standard output")
	return cmd
}

func (t *tool) capture(cmd *cobra.Command, r web.CaptureRequest, file string) (err error) {
	c, err := t.client()
	if err != nil {
		return err
	}
	if file == "" || file == "-" {
		if t.terminal {
			return usagef("a capture is not for a terminal: name a file with -w, or pipe it, as in drawbridge capture eth1.42 | tcpdump -nr -")
		}
		return c.Capture(cmd.Context(), r, t.out)
	}
	to := &opener{path: file}
	defer func() {
		err = errors.Join(err, to.Close())
		if to.file != nil {
			fmt.Fprintf(t.err, "%s in %s (%s)\n", drawbridge.Counted(to.frames, "frame"), file, octets(to.length))
		}
	}()
	if t.interactive {
		fmt.Fprintf(t.err, "capturing %s to %s; stop with Ctrl-C\n", r.Port+r.Segment, file)
	}
	return c.Capture(cmd.Context(), r, to)
}

// opener makes its file when there is something to write, so that a refused capture leaves none. Others shall
// not read what goes over a network: mode 0600.
type opener struct {
	path string
	file *os.File
	pcapng
}

var _ io.WriteCloser = (*opener)(nil)

// Write implements io.Writer.
func (o *opener) Write(b []byte) (n int, err error) {
	if o.file == nil {
		if o.file, err = os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return 0, err
		}
	}
	o.count(b)
	return o.file.Write(b)
}

// packetBlock is the type of a block of pcapng that holds a frame (draft-ietf-opsawg-pcapng §4.3).
const packetBlock = 6

// pcapng counts the frames of a stream of blocks, each of which begins with its type and length, in the byte order of this daemon's files.
type pcapng struct {
	frames, length uint64
	head           []byte // of the block that begins
	rest           int    // of the block that goes on
}

func (p *pcapng) count(b []byte) {
	p.length += uint64(len(b))
	for len(b) > 0 {
		if n := min(p.rest, len(b)); n > 0 {
			p.rest, b = p.rest-n, b[n:]
			continue
		}
		n := min(8-len(p.head), len(b))
		p.head, b = append(p.head, b[:n]...), b[n:]
		if len(p.head) < 8 {
			return
		}
		if binary.LittleEndian.Uint32(p.head) == packetBlock {
			p.frames++
		}
		p.rest, p.head = max(0, int(binary.LittleEndian.Uint32(p.head[4:]))-8), p.head[:0]
	}
}

// Close implements io.Closer.
func (o *opener) Close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
