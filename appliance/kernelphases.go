package appliance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// follow does the next step to what was decided: first both engines deliver what reaches them, then the kernel takes in what ports hear, or
// no longer delivers. Each frame is taken in by one of them at every moment, here; in the network none takes a frame that others do not
// deliver, since all are waited for (package engine).
func (p *kernelPath) follow(want engine.Overlay, d engine.Decisions, now time.Time) {
	settled := now.Sub(p.since) >= quiet
	elsewhere := p.kernel != nil && p.kernel.Port() != want.Port
	var err error
	switch {
	case p.silent:
		if settled {
			p.silence(false)
		}
	case p.reached == engine.User && want.Phase != engine.User && p.isAble():
		p.enter(want, d, now)
	case p.reached == engine.Kernel && (want.Phase != engine.Kernel || elsewhere):
		err = p.give(d, now)
	case p.reached == engine.Some && (want.Phase != engine.Some || elsewhere || !p.isAble()):
		err = p.give(d, now)
	case p.reached == engine.Both && settled && (want.Phase == engine.User || elsewhere || want.Phase == engine.Some && p.released(now)):
		p.leave(d, now)
	case p.reached == engine.Both && settled && want.Phase == engine.Kernel && p.node.sw.Shared(p.vni):
		err = p.take(kernel.Everything, engine.Kernel, now)
	case p.reached == engine.Both && settled && want.Phase == engine.Some && p.isAble() && p.node.sw.Shared(p.vni):
		err = p.take(kernel.Known, engine.Some, now)
	case p.reached == engine.Kernel && settled && !p.hushed && !p.node.sw.Waiting(p.vni):
		p.node.sw.Suspend(p.vni, true)
		p.hushed = true
	}
	p.direct(want, d, now)
	if p.kernel != nil {
		if err = errors.Join(err, p.maintain(d, now)); err != nil {
			p.fail(fmt.Errorf("keep the kernel engine in step: %w", err), now)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason = want.Reason; p.follows(want.Phase, now) {
		p.number = want.Number
	}
}

// direct decides to whom the kernel carries what is for one station, in phase Some.
func (p *kernelPath) direct(want engine.Overlay, d engine.Decisions, now time.Time) {
	var ways map[drawbridge.PeerID]string
	if want.Phase == engine.Some {
		ways = p.against(d, now)
	}
	p.mu.Lock()
	p.ways = ways
	p.mu.Unlock()
}

// follows reports whether a phase is reached here. Both is when each engine knows of what the other has heard for as long as an echo
// takes; and whoever cannot use the kernel hands nothing to it. The caller holds mu.
func (p *kernelPath) follows(want engine.Phase, now time.Time) bool {
	switch {
	case want != engine.Kernel && want != engine.User && p.reached == engine.User:
		return !p.able()
	case want == engine.Both:
		return p.reached == want && now.Sub(p.since) >= quiet
	}
	return p.reached == want
}

// still reports whether nothing is to be done here for a phase.
func (p *kernelPath) still(want engine.Phase, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.follows(want, now) && !p.silent && (p.reached != engine.Kernel || p.hushed)
}

// enter has the kernel begin to deliver.
func (p *kernelPath) enter(want engine.Overlay, d engine.Decisions, now time.Time) {
	if d.Short(p.node.creds.ID(), 0) == 0 {
		return // a new peer; its number comes with the next decision
	}
	protected := p.overlay().Protected()
	p.mu.Lock()
	p.protected, p.entered = protected, now
	p.mu.Unlock()
	k, err := p.load(want.Port)
	if err != nil {
		p.fail(err, now)
		return
	}
	p.table, p.hold = kernel.Table{}, engine.Hold{}
	p.carry(k)
	p.reach(engine.Both, now)
}

// take has the kernel take in what ports hear, or some of it. The switch goes on with what it has got; if the kernel takes everything, it
// is shown nothing more after that.
func (p *kernelPath) take(what kernel.Entry, phase engine.Phase, now time.Time) error {
	if err := p.kernel.Take(what); err != nil {
		return err
	}
	p.hushed = false
	p.reach(phase, now)
	return nil
}

// give has user space take in what ports hear.
func (p *kernelPath) give(d engine.Decisions, now time.Time) error {
	p.node.sw.Suspend(p.vni, false)
	p.hushed = false
	if err := p.kernel.Take(kernel.Nothing); err != nil {
		return err
	}
	p.reach(engine.Both, now)
	return p.hear(d)
}

// leave ends what the kernel does, which has taken nothing in for a while.
func (p *kernelPath) leave(d engine.Decisions, now time.Time) {
	if err := p.hear(d); err != nil {
		p.node.log.Warn("what the kernel engine has heard is not known", "vni", p.vni, "err", err)
	}
	p.close()
	p.reach(engine.User, now)
}

// fail ends what the kernel does, and says why.
func (p *kernelPath) fail(err error, now time.Time) {
	p.node.log.Error("the kernel does not carry an overlay", "vni", p.vni, "err", err)
	p.mu.Lock()
	p.failed, p.tried = firstLine(err), now
	p.mu.Unlock()
	p.stop(now)
}

// stop ends what the kernel does at once. If it took frames in, nobody does for as long as their echoes may come back: user space would not
// know them for any.
func (p *kernelPath) stop(now time.Time) {
	if p.takesSome() {
		p.silence(true)
	}
	p.close()
	p.hushed = false
	if p.reached != engine.User {
		p.reach(engine.User, now)
	}
}

// silence has nobody take in what ports hear, or ends that.
func (p *kernelPath) silence(on bool) {
	p.node.sw.Suspend(p.vni, on)
	p.mu.Lock()
	p.silent = on
	p.mu.Unlock()
}

func (p *kernelPath) reach(phase engine.Phase, now time.Time) {
	p.mu.Lock()
	p.reached, p.since = phase, now
	p.mu.Unlock()
	p.node.log.Info("engine of an overlay", "vni", p.vni, "phase", phase)
	texts := map[engine.Phase]string{
		engine.User: "user space carries overlay %d here", engine.Kernel: "the kernel carries overlay %d here",
		engine.Both: "overlay %d changes its engine: user space carries what is heard here, and the kernel delivers as well",
		engine.Some: "the kernel carries overlay %d here to those peers that can, and user space the rest",
	}
	p.node.event(web.Event{Level: web.LevelInfo, Kind: "engine_changed", Text: fmt.Sprintf(texts[phase], p.vni)})
}

// takes reports whether the kernel takes in all that ports hear; takesSome, whether it takes in anything.
func (p *kernelPath) takes() bool { return p.is(engine.Kernel) }

func (p *kernelPath) takesSome() bool { return p.is(engine.Kernel, engine.Some) }

func (p *kernelPath) is(phases ...engine.Phase) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(phases, p.reached)
}

// against is why the kernel does not, by peer.
func (p *kernelPath) against(d engine.Decisions, now time.Time) map[drawbridge.PeerID]string {
	n := p.node
	mine, names, all := p.standing(now), map[drawbridge.PeerID]drawbridge.PeerName{}, map[drawbridge.PeerID]string{}
	for _, o := range n.router.Peers() {
		names[o.ID] = o.Name
	}
	for id, next := range n.router.Routes().Next {
		o := engine.Neighbour{ID: id, Word: n.engineWord(id), Number: d.Short(id, 0) != 0}
		if next != id {
			o.Via = names[next]
		}
		if id != n.creds.ID() {
			all[id] = engine.Against(p.vni, n.creds.ID(), mine, o)
		}
	}
	return all
}

// released reports whether this peer, which cannot any more, may stop to deliver in phase Some.
func (p *kernelPath) released(now time.Time) bool {
	p.mu.Lock()
	unable := p.unable
	p.mu.Unlock()
	if unable.IsZero() {
		return false
	}
	var others []engine.Word
	for _, o := range p.node.router.Peers() {
		if o.ID != p.node.creds.ID() && o.State != mesh.StateUnreachable && o.State != mesh.StateLeft {
			others = append(others, p.node.engineWord(o.ID))
		}
	}
	return engine.Released(p.vni, p.node.creds.ID(), now.Sub(unable), others)
}
