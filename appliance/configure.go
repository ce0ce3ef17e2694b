package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/acks"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// goodConfig in the state directory is the last version that this peer could apply: what it goes by after a restart until
// it has heard of a newer one.
const goodConfig = "network-config.json"

// configChannel is the name under which peers tell each other which version they go by.
const configChannel = "config"

// networkConfig is this peer's copy of the network configuration (docs/protocol/config.md).
type networkConfig struct {
	path    string
	version func(netconfig.Document) error // brings a document into force here, all of it or nothing
	acks    *acks.Table
	told    func() // after every change of what follows, before the other peers hear of it

	taking sync.Mutex // held while a version is brought into force

	mu       sync.Mutex // guards what follows
	known    uint64     // the newest version that this peer has seen
	applied  uint64     // the version that it goes by; 0: the defaults
	document *netconfig.Document
	problem  string // why known is not applied
	heard    users  // of the newest version that can be read, also when this host cannot apply it
}

// users are what a version says of them.
type users struct {
	version uint64
	text    json.RawMessage
}

// storedConfig is the form of goodConfig.
type storedConfig struct {
	Version  uint64          `json:"version"`
	Document json.RawMessage `json:"document"`
}

// openNetworkConfig begins with the last good version.
func openNetworkConfig(dir string, version func(netconfig.Document) error, words *acks.Table, told func()) (*networkConfig, error) {
	c := &networkConfig{path: filepath.Join(dir, goodConfig), version: version, acks: words, told: told, document: netconfig.Default()}
	text, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("network configuration: %w", err)
	}
	var s storedConfig
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("network configuration in %s: %w: remove the file; the voters have it", c.path, err)
	}
	d, err := netconfig.Read(s.Document)
	if err == nil {
		c.heard = users{s.Version, d.Users}
	}
	if err == nil && c.version(*d) == nil {
		c.known, c.applied, c.document = s.Version, s.Version, d
	}
	return c, nil
}

// inForce is the document that this peer goes by.
func (c *networkConfig) inForce() *netconfig.Document {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.document
}

// standing is how far this peer is, and why no further.
func (c *networkConfig) standing() (known, applied uint64, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known, c.applied, c.problem
}

// take brings a version into force that is newer than all before, or says why it cannot and keeps the last good one.
func (c *networkConfig) take(v raftgroup.Version) {
	c.taking.Lock()
	defer c.taking.Unlock()
	if known, _, _ := c.standing(); v.Number <= known {
		return
	}
	d, err := netconfig.Read(v.Document)
	if err == nil {
		c.hearUsers(users{v.Number, d.Users})
		if err = c.version(*d); err != nil {
			_ = c.version(*c.inForce()) // it fitted before
		}
	}
	if err == nil {
		err = c.keep(v)
	}
	c.mu.Lock()
	c.known, c.problem = v.Number, ""
	if err != nil {
		c.problem = acks.Short(err.Error())
	} else {
		c.applied, c.document = v.Number, d
	}
	applied, problem := c.applied, c.problem
	c.mu.Unlock()
	c.told()
	c.acks.Config(v.Number, applied, problem)
}

// hearUsers notes them before anything else: whoever lost access must not keep it where a version does not fit the host.
func (c *networkConfig) hearUsers(u users) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = u
}

// newestUsers are those of the newest version that this peer has heard of.
func (c *networkConfig) newestUsers() users {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// keep writes the version to disk before it is called applied.
func (c *networkConfig) keep(v raftgroup.Version) error {
	text, err := json.Marshal(storedConfig{v.Number, v.Document})
	if err != nil {
		return err
	}
	if err := secure.WriteFile(filepath.Dir(c.path), filepath.Base(c.path), text); err != nil {
		return fmt.Errorf("keep the network configuration: %w", err)
	}
	return nil
}

// openConfiguration makes this peer's part in the network configuration; the mesh carries it.
func (n *Node) openConfiguration() (err error) {
	words := acks.New(n.creds.ID(), func(msg []byte) {
		select {
		case <-n.router.Ready():
		default: // followConfig says it again when there is somebody to hear it
			return
		}
		if err := n.router.Broadcast(configChannel, msg); err != nil {
			n.log.Warn("the other peers were not told which configuration is in force here", "err", err)
		}
	}, n.changed.tell)
	if n.network, err = openNetworkConfig(n.creds.Dir(), n.fits, words, n.configured); err != nil {
		return err
	}
	n.router.Register(configChannel, words)
	n.router.Handle(configService, n.serveConfig)
	return nil
}

// fits brings the part of a document into force that is about this host. What concerns all voters together came into force
// with the version itself (docs/adr/0014). Nothing is changed unless all of it fits.
func (n *Node) fits(d netconfig.Document) error {
	for i, s := range d.Segments {
		overlay, _ := d.Overlay(s.Overlay)
		for _, p := range n.ports {
			if p.segment != nil && p.segment.Name == s.Name && p.segment.VNI != overlay.VNI {
				return fmt.Errorf("segment[%d].overlay: %s is on overlay %s with VNI %d, the node file %s says vni = %d: make them equal",
					i+1, s.Name, s.Overlay, overlay.VNI, n.cfg.Path, p.segment.VNI)
			}
		}
	}
	for i, o := range d.Overlays {
		for _, p := range n.ports {
			if p.guest == nil || p.guest.TAP == "" || p.guest.MTU != 0 || p.guest.VNI != o.VNI || !p.usable.Load() {
				continue
			}
			mtu := o.MTU
			if mtu == 0 {
				mtu = defaultGuestMTU
			}
			if err := hostnet.SetMTU(p.guest.TAP, mtu); err != nil {
				return fmt.Errorf("overlay[%d].mtu: %w", i+1, err)
			}
		}
	}
	n.limitStorms(d)
	return nil
}

// overlayMTU is what the configuration says of an overlay; 0: nothing.
func (n *Node) overlayMTU(vni drawbridge.VNI) int {
	for _, o := range n.network.inForce().Overlays {
		if o.VNI == vni {
			return o.MTU
		}
	}
	return 0
}

// configured has what goes by the configuration follow it, and tells the journal which version is in force here, or why not.
func (n *Node) configured() {
	if n.voter != nil {
		n.awaitSteering() // whoever was told that the policy is in force may lose the majority at once
	}
	known, applied, problem := n.network.standing()
	e := web.Event{Level: web.LevelInfo, Kind: "config_applied", Text: fmt.Sprintf("version %d of the network configuration is in force here", known)}
	if problem != "" {
		e = web.Event{
			Level: web.LevelError, Kind: "config_refused", Reason: problem,
			Text: fmt.Sprintf("version %d of the network configuration cannot be applied here, version %d stays: %s", known, applied, problem),
		}
		n.log.Error("network configuration not applied", "version", known, "reason", problem)
	}
	n.event(e)
	n.changed.tell()
}

// whyNotConfigured lists what the network configuration has against this peer's taking the lease of a segment.
func (n *Node) whyNotConfigured(segment string) (reasons []string) {
	known, applied, problem := n.network.standing()
	if problem != "" && applied == 0 {
		reasons = append(reasons, fmt.Sprintf("version %d of the network configuration cannot be applied here: %s", known, problem))
	}
	switch s := n.network.inForce().Segment(segment); {
	case s.Mode == netconfig.ModePassive:
		reasons = append(reasons, "mode = \"passive\" in the network configuration")
	case s.Mode == netconfig.ModeManual && s.Preferred != n.creds.Name:
		reasons = append(reasons, fmt.Sprintf("mode = \"active-manual\" in the network configuration, and %s is the active gateway", s.Preferred))
	}
	return reasons
}

// follows is what a document means for the decisions of the voters.
func follows(d *netconfig.Document) *raftgroup.Follows {
	f := &raftgroup.Follows{Renew: time.Duration(d.Timers.Renew), Length: time.Duration(d.Timers.Term), Segments: map[string]raftgroup.Segment{}}
	for _, s := range d.Segments {
		o, _ := d.Overlay(s.Overlay)
		f.Segments[s.Name] = raftgroup.Segment{VNI: o.VNI, Eligible: s.Eligible, Preferred: s.Preferred}
	}
	return f
}

// followConfig keeps this peer's copy in step until ctx ends: a voter has every version from the group, any other peer
// fetches what a voter says it has.
func (n *Node) followConfig(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.router.Ready():
		n.network.acks.Config(n.network.standing())
	}
	if n.voter == nil {
		return n.fetchConfigs(ctx)
	}
	for {
		state, changed := n.voter.group.State()
		if v, ok := state.Newest(); ok {
			n.network.take(v)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// A peer that does not vote asks at least every fetchAgain while it has no version, and from fetchSoon on, ever more
// seldom, while it has heard of one that the voter which it asked has not seen yet.
const (
	fetchSoon  = 100 * time.Millisecond
	fetchAgain = 10 * time.Second
)

func (n *Node) fetchConfigs(ctx context.Context) error {
	pause, heard := fetchSoon, uint64(0)
	for ctx.Err() == nil {
		known, _, _ := n.network.standing()
		wanted := n.network.acks.Newest()
		if wanted > heard {
			pause, heard = fetchSoon, wanted
		}
		if wanted > known || known == 0 {
			n.fetchConfig(ctx)
		}
		n.awaitVersion(ctx, wanted, pause)
		pause = min(2*pause, fetchAgain)
	}
	return nil
}

func (n *Node) fetchConfig(ctx context.Context) {
	r, err := n.askVoters(ctx, n.votersNow(), configQuestion{Op: opGet})
	if err != nil {
		n.log.Debug("no voter has told the network configuration yet", "err", err)
		return
	}
	if r.Version != nil {
		n.network.take(*r.Version)
	}
}

// awaitVersion returns when somebody has told of a version above one that was heard of; after a pause, when that one is
// not here yet.
func (n *Node) awaitVersion(ctx context.Context, heard uint64, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		watch := n.changed.watch()
		if n.network.acks.Newest() > heard {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-watch:
		case <-timer.C:
			return
		}
	}
}
