package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// limits by step.
var limits = map[string]time.Duration{Check: CheckFor, Move: MoveFor, Update: UpdateFor, Return: ReturnFor, Verify: VerifyFor}

// Next looks at the network and answers what is to be done now, having moved on as far as it can. The caller keeps r on
// disk before it does anything of it: a deed that is asked for again after a crash has been begun at most once before.
func (r *Rollout) Next(seen map[string]Seen, now time.Time) Action {
	for r.State == Running {
		p := r.Present()
		if p == nil {
			if p = r.choose(seen); p == nil {
				r.finish(now)
				break
			}
			r.enter(p, Check, now)
		}
		before := p.Step
		action, waits := r.step(p, seen, now)
		r.Waits = waits
		switch {
		case action.Do != DoNothing:
			return action
		case p.Step != before:
			continue
		case now.Sub(p.Since) > limits[p.Step]:
			r.Pause(fmt.Sprintf("%s took longer than %s: %s", p.Step, limits[p.Step], waits), now)
		}
		break
	}
	return Action{}
}

// choose takes whoever bridges least, so that passive gateways come first; among equals the order of names.
func (r *Rollout) choose(seen map[string]Seen) *Peer {
	var best *Peer
	for i := range r.Peers {
		p := &r.Peers[i]
		if p.Step != Waiting {
			continue
		}
		less := best != nil && len(seen[p.Name].Active) < len(seen[best.Name].Active)
		equal := best != nil && len(seen[p.Name].Active) == len(seen[best.Name].Active)
		if best == nil || less || equal && p.Name < best.Name {
			best = p
		}
	}
	return best
}

func (r *Rollout) finish(now time.Time) {
	r.State, r.Ended, r.Waits = Done, now, ""
	r.note(now, "", "every peer is updated and well")
}

var texts = map[string]string{
	Check: "is next: everybody must be well first", Move: "gives its segments to others", Update: "takes the new software",
	Return: "starts again", Verify: "is back: is it well?", Updated: "is updated and well",
}

func (r *Rollout) enter(p *Peer, step string, now time.Time) {
	p.Step, p.Since = step, now
	r.note(now, p.Name, texts[step])
}

// step moves one peer on. It answers what to do, or what is waited for.
func (r *Rollout) step(p *Peer, seen map[string]Seen, now time.Time) (Action, string) {
	v := seen[p.Name]
	switch p.Step {
	case Check:
		if why := unwell(seen, ""); why != "" {
			return Action{}, why
		}
		p.Run, p.From = v.Run, v.Version
		r.enter(p, Move, now)
	case Move:
		return r.move(p, seen, now)
	case Update:
		return r.update(p, seen, now)
	case Return:
		return r.back(p, v, now)
	case Verify:
		return r.verify(p, seen, now)
	}
	return Action{}, ""
}

// unwell says who is not, of all but one.
func unwell(seen map[string]Seen, but string) string {
	var all []string
	for name, v := range seen {
		if name == but {
			continue
		}
		if !v.Reached {
			all = append(all, name+" is not reached")
		} else if len(v.Unwell) > 0 {
			all = append(all, name+": "+strings.Join(v.Unwell, "; "))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// move gives one segment away after the other. Whoever holds none may be touched.
func (r *Rollout) move(p *Peer, seen map[string]Seen, now time.Time) (Action, string) {
	v := seen[p.Name]
	if v.Run != p.Run || !v.Reached { // somebody else restarted it: look at everything again
		r.enter(p, Check, now)
		return Action{}, ""
	}
	if len(v.Active) > 0 {
		return Action{DoMove, p.Name, v.Active[0]}, "segment " + v.Active[0] + " to be moved"
	}
	if why := unwell(seen, ""); why != "" {
		return Action{}, why
	}
	r.enter(p, Update, now)
	return Action{}, ""
}

// update sends the order once in the life of a run, and sees by the next run that it was obeyed.
func (r *Rollout) update(p *Peer, seen map[string]Seen, now time.Time) (Action, string) {
	v := seen[p.Name]
	switch {
	case !v.Reached:
		return Action{}, p.Name + " is not reached"
	case v.Run != p.Run && (r.Want == "" || v.Version == r.Want):
		r.enter(p, Return, now)
		return Action{}, ""
	case v.Run != p.Run: // back with what it had, by a resumed roll-out: once more
		p.Run = v.Run
	case p.Sent:
		return Action{}, "the order to update is out"
	}
	if len(v.Active) > 0 { // it took a segment meanwhile
		r.enter(p, Move, now)
		return Action{}, ""
	}
	if why := unwell(seen, p.Name); why != "" { // it may be long since anybody looked
		return Action{}, why
	}
	p.Sent = true
	return Action{DoUpdate, p.Name, ""}, "it takes the new software"
}

// back waits for another run of the peer.
func (r *Rollout) back(p *Peer, v Seen, now time.Time) (Action, string) {
	switch {
	case !v.Reached:
		return Action{}, p.Name + " is not back yet"
	case v.Run == p.Run:
		return Action{}, p.Name + " still runs as before"
	}
	p.To = v.Version
	r.enter(p, Verify, now)
	return Action{}, ""
}

func (r *Rollout) verify(p *Peer, seen map[string]Seen, now time.Time) (Action, string) {
	v := seen[p.Name]
	if v.Reached && r.Want != "" && v.Version != r.Want {
		r.Pause(fmt.Sprintf("%s came back with %s and not with %s: it fell back, or never started it", p.Name, v.Version, r.Want), now)
		return Action{}, ""
	}
	if why := unwell(seen, ""); why != "" {
		return Action{}, why
	}
	p.To, p.Sent = v.Version, false
	r.enter(p, Updated, now)
	return Action{}, ""
}

// Result tells how a deed ended.
func (r *Rollout) Result(a Action, err error, now time.Time) {
	p := r.Present()
	if r.Over() || p == nil || p.Name != a.Peer {
		return
	}
	switch {
	case err != nil && a.Do == DoMove: // refused, most often: it is asked again until the step takes too long
		r.note(now, a.Peer, fmt.Sprintf("segment %s stays: %v", a.Segment, err))
	case err != nil:
		p.Sent = false
		r.Pause(err.Error(), now)
	case a.Do == DoMove:
		r.note(now, a.Peer, "segment "+a.Segment+" was moved")
	case a.Do == DoUpdate && p.Step == Update:
		r.enter(p, Return, now)
	}
}
