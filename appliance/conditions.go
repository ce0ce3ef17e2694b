package appliance

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// Limits of what is worth telling. Certificates are renewed by themselves long before; a disk of an appliance that has
// these shares left still takes days of what is written to it.
const (
	certificateWarn  = 14 * 24 * time.Hour
	certificateError = 3 * 24 * time.Hour

	diskWarnShare, diskErrorShare = 0.10, 0.03
	diskWarnFree, diskErrorFree   = 1 << 30, 128 << 20 // bytes; a large disk with more than that is not nearly full

	// unreadyFor is how long a gateway may be unready: after a start and after a move it settles first.
	unreadyFor = 45 * time.Second
	// silentFor is how long a voter may be silent: a restart takes less.
	silentFor = 20 * time.Second
	// failingFor is how long a sink may fail.
	failingFor = time.Minute
)

// conditions reads what is wrong just now. The board asks for it from one goroutine.
func (a *alerting) conditions(now time.Time) []notify.Condition {
	c := &conditions{}
	a.segmentConditions(c, now)
	a.peerConditions(c)
	a.voterConditions(c, now)
	a.portConditions(c)
	a.loopConditions(c)
	a.drillConditions(c, now)
	a.configConditions(c)
	a.certificateConditions(c, now)
	diskConditions(c, a.node.creds.Dir())
	a.sinkConditions(c, now)
	a.forget(now)
	return c.all
}

type conditions struct{ all []notify.Condition }

// add notes one condition: what, and the names of where, make its ID.
func (c *conditions) add(severity, what, where, remedy, text string, args ...any) *notify.Condition {
	id := what
	if where != "" {
		id += "." + where
	}
	c.all = append(c.all, notify.Condition{ID: id, Severity: severity, Text: fmt.Sprintf(text, args...), Remedy: remedy})
	return &c.all[len(c.all)-1]
}

func (a *alerting) segmentConditions(c *conditions, now time.Time) {
	document := a.node.network.inForce()
	for _, s := range a.node.Segments() {
		if s.Active == nil && document.Segment(s.Name).Mode != netconfig.ModePassive {
			c.add(notify.Error, "no_active_gateway", s.Name, "drawbridge segments says what each gateway waits for; a majority of the voters must answer",
				"segment %s has no active gateway", s.Name).Segment = s.Name
		}
	}
	unreachable := map[string]bool{}
	_, others := a.node.peers()
	for _, p := range others {
		unreachable[string(p.Name)] = p.State == mesh.StateUnreachable || p.State == mesh.StateLeft
	}
	for _, t := range a.node.Takeovers() {
		bad, old := firstBad(t.Checks), now.Sub(t.Told) > 5*tellReadiness
		if t.Active || t.Ready && !old || unreachable[t.Peer] || document.Segment(t.Segment).Mode == netconfig.ModePassive {
			continue
		}
		if !a.lasts("gateway_not_ready."+t.Segment+"."+t.Peer, now, unreadyFor) {
			continue
		}
		if old {
			bad = "it has not told of itself lately"
		}
		k := c.add(notify.Warn, "gateway_not_ready", t.Segment+"."+t.Peer, "drawbridge switchover "+t.Segment+" --to "+t.Peer+" --dry-run shows every check",
			"gateway %s could not take segment %s over: %s", t.Peer, t.Segment, strings.TrimSuffix(bad, "; needed: "))
		k.Segment, k.Peer = t.Segment, t.Peer
	}
}

func (a *alerting) peerConditions(c *conditions) {
	self, others := a.node.peers()
	if self.Clone != "" {
		c.add(notify.Error, "clone", "", "stop the copy, remove its state directory and join anew there", "another host runs with this peer's identity: %s", self.Clone)
	}
	for _, p := range others {
		if p.State == mesh.StateUnreachable {
			c.add(notify.Warn, "peer_unreachable", string(p.Name), "see whether it runs, and TCP and UDP reach it; drawbridge peers forget "+string(p.Name)+" removes it for good",
				"peer %s is unreachable", p.Name).Peer = string(p.Name)
		}
	}
}

// voterConditions tells of voters that do not answer while the others still do: nothing is wrong with the segments yet.
func (a *alerting) voterConditions(c *conditions, now time.Time) {
	group := a.node.Voters()
	for _, v := range group.Voters {
		if !group.Here || v.Answers || v.State != web.VoterVotes || !a.lasts("voter_silent."+v.Name, now, silentFor) {
			continue
		}
		left := fmt.Sprintf("%d more may fall silent", group.Spare)
		if group.Spare == 0 {
			left = "if one more falls silent, no gateway may be active"
		}
		c.add(notify.Warn, "voter_silent", v.Name, "start it, or make another peer a voter and remove it: drawbridge peers forget "+v.Name,
			"voter %s does not answer; %s", v.Name, left).Peer = v.Name
	}
}

func (a *alerting) portConditions(c *conditions) {
	for _, p := range a.node.ports {
		wire, watched := a.node.wire(p)
		var k *notify.Condition
		switch err := p.broken(); {
		case err != nil:
			k = c.add(notify.Error, "port_failed", p.name(), "correct the interface, or the node file "+a.node.cfg.Path, "port %s does not work: %v", p.name(), err)
		case p.unplugged.Load():
			k = c.add(notify.Warn, "carrier_lost", p.name(), "look at the cable and the far end's port", "port %s has no carrier", p.name())
		case watched && wire.State == alone.Blocked:
			k = c.add(notify.Error, "loop", p.name(), "take the wrong cable or bridge away; the port opens by itself when it has listened",
				"port %s is blocked: %s", p.name(), wire.Reason)
		}
		if k != nil {
			k.Port = p.name()
			if p.segment != nil {
				k.Segment = p.segment.Name
			}
		}
	}
}

// drillConditions tells of the last drill on schedule of each segment until a newer one, by hand or elsewhere, was better,
// or none is wanted any more.
func (a *alerting) drillConditions(c *conditions, now time.Time) {
	for _, p := range a.node.ports {
		if p.segment == nil || a.node.network.inForce().Segment(p.segment.Name).Drill == "" {
			continue
		}
		d, known := a.node.lastDrill(p.segment.Name)
		if !known || d.OK || d.By != drillSchedule {
			continue
		}
		if ago := p.drilled.ago(a.node.elapsed()); ago >= 0 && now.Add(-ago).Sub(d.Time) > netconfig.LateFor {
			continue // somebody else has made the next one, and tells of that
		}
		what, id := "failed", "drill_failed"
		if d.Skipped {
			what, id = "was skipped", "drill_skipped"
		}
		c.add(notify.Warn, id, p.segment.Name, "drawbridge drill "+p.segment.Name+" repeats it; drawbridge drill list shows what was measured",
			"the drill of segment %s on schedule %s: %s", p.segment.Name, what, d.Outcome).Segment = p.segment.Name
	}
}

func (a *alerting) configConditions(c *conditions) {
	self := string(a.node.creds.Name)
	if known, applied, problem := a.node.network.standing(); problem != "" {
		c.add(notify.Error, "config_refused", self, "correct the setting, or the node file "+a.node.cfg.Path,
			"version %d of the network configuration cannot be applied here, version %d stays: %s", known, applied, problem).Peer = self
	}
	applied := a.node.ConfigApplied(0)
	for _, p := range applied.Peers {
		if p.Peer == self || p.State != web.AppliedRefused && p.State != web.AppliedBehind {
			continue
		}
		c.add(notify.Warn, "config_not_applied", p.Peer, "drawbridge config applied shows every peer; the log of "+p.Peer+" says more",
			"peer %s does not go by version %d of the network configuration: %s", p.Peer, applied.Version, p.Reason).Peer = p.Peer
	}
}

func (a *alerting) certificateConditions(c *conditions, now time.Time) {
	expires := func(what, name, remedy string, end time.Time) {
		severity := notify.Warn
		switch left := end.Sub(now); {
		case left > certificateWarn:
			return
		case left < certificateError:
			severity = notify.Error
		}
		c.add(severity, "certificate_expires", what, remedy, "%s is valid until %s", name, end.UTC().Format("2006-01-02 15:04 MST"))
	}
	self := string(a.node.creds.Name)
	expires("peer", "the certificate of peer "+self, "it is renewed by a voter that holds the authority's key: see that one is reached", a.node.creds.Certificate().NotAfter)
	if end, ok := a.certificate(); ok {
		expires("console", "the certificate of the console of "+self, "drawbridge certificate set replaces it", end)
	}
}

func diskConditions(c *conditions, dir string) {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Blocks == 0 {
		return
	}
	share := float64(fs.Bavail) / float64(fs.Blocks)
	if severity := diskSeverity(share, fs.Bavail*uint64(fs.Bsize)); severity != "" {
		c.add(severity, "disk_nearly_full", "", "make room in the file system of "+dir, "less than %d %% of the file system of %s are free", int(share*100)+1, dir)
	}
}

// diskSeverity judges what is left of a file system: a share, and bytes.
func diskSeverity(share float64, free uint64) string {
	switch {
	case share >= diskWarnShare || free >= diskWarnFree:
		return ""
	case share < diskErrorShare || free < diskErrorFree:
		return notify.Error
	}
	return notify.Warn
}

func (a *alerting) sinkConditions(c *conditions, now time.Time) {
	for _, s := range a.desk.Sinks() {
		switch {
		case s.Problem != nil:
			c.add(notify.Error, "sink_broken", s.Name, "correct the sink in the network configuration, or the disk of this peer", "sink %s: %v", s.Name, s.Problem)
		case len(s.Unheard) > 0:
			c.add(notify.Warn, "sink_mistyped", s.Name, "correct its events in the network configuration; the page of events lists all kinds",
				"sink %s waits for events that there are not: %s", s.Name, strings.Join(s.Unheard, ", "))
		case s.Err != nil && a.lasts("sink_failing."+s.Name, now, failingFor):
			c.add(notify.Warn, "sink_failing", s.Name, "mend the way to it; drawbridge alerts test "+s.Name+" tries at once", "sink %s does not take what it is told: %v", s.Name, s.Err)
		}
	}
}

// lasts reports whether a condition has been so at every look for a while. One that is on the board has.
func (a *alerting) lasts(id string, now time.Time, d time.Duration) bool {
	y, ok := a.young[id]
	if !ok {
		y.began = now
	}
	y.seen = now
	a.young[id] = y
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Sub(y.began) >= d || a.board.Stands(id)
}

// youth is since when something is so that is not told at once, and when it was last looked at.
type youth struct{ began, seen time.Time }

// forget drops what was not so at this look.
func (a *alerting) forget(now time.Time) {
	for id, y := range a.young {
		if y.seen != now {
			delete(a.young, id)
		}
	}
}

// validUntil is when the certificate of the console ends.
func (d *door) validUntil() (end time.Time, ok bool) {
	if d.certificates == nil {
		return end, false
	}
	shown, err := d.certificates.Shown()
	return shown.NotAfter, err == nil
}
