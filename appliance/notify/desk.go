package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Kinds of sinks.
const (
	Webhooks = "webhook"
	Commands = "command"
	Syslogs  = "syslog"
)

// Spec describes one sink, as the network configuration has it.
type Spec struct {
	Name     string
	Kind     string
	Events   []string // patterns of kinds; none: all
	Severity string   // the least that is told
	Peers    []string // who tells; none: every peer

	URL         string // of a webhook
	Secret      string
	Fingerprint string
	Address     string // of a collector
	Transport   string
	Run         []string // of a command
}

// tells reports whether a peer tells this sink.
func (s *Spec) tells(peer string) bool { return len(s.Peers) == 0 || slices.Contains(s.Peers, peer) }

// Target says where messages go, without what could be a secret in it.
func (s *Spec) Target() string {
	switch s.Kind {
	case Webhooks:
		u, err := url.Parse(s.URL)
		if err != nil {
			return ""
		}
		return u.Scheme + "://" + u.Host
	case Commands:
		return s.Run[0]
	}
	return s.Transport + "://" + s.Address
}

// queueLimit is how many events wait for one sink at most: days of a quiet network, and about 4 MiB.
const queueLimit = 4096

// Config is what a Desk needs.
type Config struct {
	Dir      string // of the queues
	Hooks    string // directory of programs that commands may run
	Network  string
	From     string // this peer
	Software string
	Replace  func(dir, name string, content []byte) error // puts content into a file so that a crash leaves the old or the new one
	Log      *slog.Logger
	// Event is told what happens here that an operator should know. It is called from goroutines of the desk without locks
	// held, and must not wait for it.
	Event func(Event)

	drive func(*Spec) (Driver, error) // nil: the real ones
}

// Desk has a courier for every sink.
type Desk struct {
	cfg Config

	mu     sync.Mutex // guards what follows
	sinks  map[string]*outlet
	broken error // why the directory of the queues cannot be used
}

// outlet is one sink.
type outlet struct {
	spec    Spec
	err     error // why there is no courier
	file    *File
	spool   *Spool
	courier *Courier
	stop    func() // waits until the courier has ended
	full    bool   // events are being dropped; told once
}

// NewDesk returns a desk without sinks.
func NewDesk(cfg Config) *Desk {
	if cfg.drive == nil {
		cfg.drive = func(s *Spec) (Driver, error) { return drive(&cfg, s) }
	}
	return &Desk{cfg: cfg, sinks: map[string]*outlet{}}
}

func drive(cfg *Config, s *Spec) (Driver, error) {
	switch s.Kind {
	case Webhooks:
		return NewWebhook(s.URL, s.Secret, s.Fingerprint, cfg.Software)
	case Commands:
		return NewCommand(cfg.Hooks, s.Run)
	case Syslogs:
		return NewSyslog(s.Address, s.Transport, s.Fingerprint, cfg.Software)
	}
	return nil, fmt.Errorf("a sink of kind %q is not known here", s.Kind)
}

// Set makes the sinks those that are given. One that is gone, or is told by others from now on, loses its queue; one that
// changed keeps it. Couriers run until ctx ends or Close. Set and Tell are for one goroutine.
func (d *Desk) Set(ctx context.Context, specs []Spec) {
	wanted := map[string]Spec{}
	for _, s := range specs {
		wanted[s.Name] = s
	}
	d.mu.Lock()
	old := d.sinks
	d.mu.Unlock()
	sinks := map[string]*outlet{}
	for name, o := range old {
		s, stays := wanted[name]
		switch {
		case stays && reflect.DeepEqual(s, o.spec):
			sinks[name] = o
			continue
		case o.stop != nil:
			o.stop()
		}
		if o.file != nil {
			_ = o.file.Close()
		}
	}
	d.sweep(wanted)
	for name, s := range wanted {
		if sinks[name] == nil {
			sinks[name] = d.open(ctx, s)
		}
	}
	d.mu.Lock()
	d.sinks = sinks
	d.mu.Unlock()
}

const suffix = ".queue"

// sweep removes the queues of sinks that this peer does not tell, those of earlier runs included.
func (d *Desk) sweep(wanted map[string]Spec) {
	err := os.MkdirAll(d.cfg.Dir, 0o700)
	files, bad := os.ReadDir(d.cfg.Dir)
	d.mu.Lock()
	d.broken = errors.Join(err, bad)
	d.mu.Unlock()
	for _, f := range files {
		name, isQueue := strings.CutSuffix(f.Name(), suffix)
		if s, ok := wanted[name]; isQueue && !strings.HasPrefix(name, ".") && !(ok && s.tells(d.cfg.From)) {
			if err := os.Remove(filepath.Join(d.cfg.Dir, f.Name())); err != nil {
				d.cfg.Log.Warn("the queue of a sink that is gone stays on disk", "name", name, "err", err)
			}
		}
	}
}

func (d *Desk) open(ctx context.Context, s Spec) *outlet {
	o := &outlet{spec: s}
	if !s.tells(d.cfg.From) {
		return o
	}
	driver, err := d.cfg.drive(&s)
	if err != nil {
		o.err = err
		return o
	}
	o.file = OpenFile(filepath.Join(d.cfg.Dir, s.Name+suffix), d.cfg.Replace)
	var damaged int
	if o.spool, damaged, err = OpenSpool(o.file, queueLimit); err != nil {
		d.cfg.Log.Error("a queue cannot be read and begins anew", "name", s.Name, "err", err)
	}
	if damaged > 0 {
		d.cfg.Log.Warn("the end of a queue was not written whole and is cut off", "name", s.Name, "bytes", damaged)
	}
	o.courier = NewCourier(driver, o.spool, d.address(s.Name), func(i Item, err error) {
		d.cfg.Log.Warn("an event was given up", "name", s.Name, "sequence", i.Sequence, "kind", i.Event.Kind, "err", err)
	})
	run, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = o.courier.Run(run) // it has no failures of its own
	}()
	o.stop = func() { cancel(); <-ended }
	return o
}

// address makes messages for a sink of its items.
func (d *Desk) address(sink string) func(Item) *Message {
	return func(i Item) *Message {
		return &Message{
			Format: 1, Network: d.cfg.Network, From: d.cfg.From, Sink: sink, Sequence: i.Sequence, Lost: i.Lost,
			Key: i.Event.Key(d.cfg.From), Event: i.Event,
		}
	}
}

// Close ends all couriers. What waits stays on disk.
func (d *Desk) Close() {
	for _, o := range d.all() {
		if o.stop != nil {
			o.stop()
			_ = o.file.Close()
		}
	}
}

func (d *Desk) all() []*outlet {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*outlet, 0, len(d.sinks))
	for _, o := range d.sinks {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *outlet) int { return cmp.Compare(a.spec.Name, b.spec.Name) })
	return all
}

// maxText bounds what a part of an event may have, in bytes: four thousand of them still fit on every disk.
const maxText = 4096

// Tell puts events into the queues of those who want them; all are on disk when it returns.
func (d *Desk) Tell(events []Event) {
	for i := range events {
		events[i].Text, events[i].Reason = drawbridge.Cut(events[i].Text, maxText), drawbridge.Cut(events[i].Reason, maxText)
	}
	for _, o := range d.all() {
		if o.spool == nil {
			continue
		}
		var wanted []Event
		for _, e := range events {
			ours := e.Kind == KindDropped && e.Port == o.spec.Name // its own queue says so in its place
			if !ours && Wanted(&e, o.spec.Events, o.spec.Severity) {
				wanted = append(wanted, e)
			}
		}
		if len(wanted) > 0 {
			d.tellOne(o, wanted)
		}
	}
}

func (d *Desk) tellOne(o *outlet, wanted []Event) {
	dropped := o.spool.Add(wanted...)
	if !dropped {
		o.full = o.full && o.spool.Counts().Waiting > queueLimit/2
		return
	}
	if !o.full {
		o.full = true
		d.cfg.Event(Event{
			Level: Error, Kind: KindDropped, Port: o.spec.Name, Reason: "the queue is full",
			Text: fmt.Sprintf("events for sink %s are dropped: %d wait already", o.spec.Name, queueLimit),
		})
	}
}

// Status is how a sink does.
type Status struct {
	Spec
	Tells   bool // this peer tells it
	Unheard []string
	Problem error // why nothing is told, or not kept
	Counts
	State
}

// Sinks says how every sink does, by name.
func (d *Desk) Sinks() []Status {
	var all []Status
	d.mu.Lock()
	broken := d.broken
	d.mu.Unlock()
	for _, o := range d.all() {
		s := Status{Spec: o.spec, Tells: o.spec.tells(d.cfg.From), Unheard: Unheard(o.spec.Events), Problem: o.err}
		if o.courier != nil {
			s.Counts, s.State = o.spool.Counts(), o.courier.State()
			s.Problem = cmp.Or(s.Counts.Problem, broken)
		}
		all = append(all, s)
	}
	return all
}

// ErrNoSink says that a name is not that of a sink.
var ErrNoSink = errors.New("no sink has this name")

// Test tells a sink something at once, beside its queue, and returns what it answered. When it took it, what waits is
// told at once, too.
func (d *Desk) Test(ctx context.Context, name string, e Event) error {
	d.mu.Lock()
	o := d.sinks[name]
	d.mu.Unlock()
	if o == nil {
		return ErrNoSink
	}
	driver, err := d.cfg.drive(&o.spec)
	if err != nil {
		return err
	}
	defer driver.Close()
	ctx, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	m := d.address(name)(Item{Event: e})
	m.Test = true
	if err := driver.Tell(ctx, m); err != nil {
		return err
	}
	if o.courier != nil {
		o.courier.Hurry()
	}
	return nil
}

// NewTest is an event that tests a sink.
func NewTest(by string, now time.Time) Event {
	return Event{Time: now.UTC(), Level: Info, Kind: KindTest, Text: "a test by " + by + ": nothing has happened"}
}
