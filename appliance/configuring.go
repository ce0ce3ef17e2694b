package appliance

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/web"
)

// decideConfig answers a question at a voter.
func (n *Node) decideConfig(ctx context.Context, q configQuestion) (configReply, error) {
	switch q.Op {
	case opGet, opList, opEngines:
		return n.tellConfig(ctx, q)
	case opPut:
		return n.insist(ctx, q.Proposal, n.putConfig)
	case opRollback:
		return n.insist(ctx, q.Proposal, n.rollbackConfig)
	case opConfirm:
		c := raftgroup.Command{By: q.Proposal.By, ConfirmConfig: &raftgroup.ConfirmConfig{Version: q.Number}}
		index, err := n.voter.group.Propose(ctx, c)
		if err != nil {
			return configReply{}, decision(err)
		}
		n.caughtUp(ctx, index)
		state, _ := n.voter.group.State()
		return getConfig(&state, q.Number)
	}
	return configReply{}, fmt.Errorf("%w: operation %q of the configuration; update this peer", web.ErrInvalid, q.Op)
}

// tellConfig tells what was decided; nobody is told that there is nothing before this voter knows. What a snapshot has is better than nothing
// where no majority answers.
func (n *Node) tellConfig(ctx context.Context, q configQuestion) (configReply, error) {
	current := n.voter.current(ctx)
	state, _ := n.voter.group.State()
	if len(state.Versions) == 0 && !current {
		return configReply{}, n.unknowing()
	}
	switch q.Op {
	case opGet:
		return getConfig(&state, q.Number)
	case opList:
		return listConfigs(&state, q.Number, q.Limit), nil
	}
	return configReply{Engines: &state.Engines}, nil
}

// insist asks again for a change of whatever is the newest version, when this voter had not heard of the newest yet.
func (n *Node) insist(ctx context.Context, p web.ConfigProposal, do func(context.Context, web.ConfigProposal) (configReply, error)) (configReply, error) {
	if !n.voter.current(ctx) {
		return configReply{}, n.unknowing()
	}
	for {
		_, changed := n.voter.group.State()
		r, err := do(ctx, p)
		if !p.Any || !errors.Is(err, web.ErrStale) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, err
		case <-changed:
		}
	}
}

func getConfig(state *raftgroup.State, number uint64) (configReply, error) {
	newest, ok := state.Newest()
	r := configReply{Newest: newest.Number}
	if number == 0 {
		if ok {
			r.Version = &newest
		}
		return r, nil
	}
	v, err := state.Version(number)
	r.Version = &v
	return r, decision(err)
}

func listConfigs(state *raftgroup.State, below uint64, limit int) configReply {
	r := configReply{}
	if newest, ok := state.Newest(); ok {
		r.Newest, r.Oldest = newest.Number, state.Versions[0].Number
	}
	for _, v := range slices.Backward(state.Versions) {
		if below != 0 && v.Number >= below {
			continue
		}
		if len(r.Versions) == limit {
			break
		}
		v.Document, v.Follows = nil, nil
		r.Versions = append(r.Versions, v)
	}
	return r
}

// decision is an error of the group in the words of the API.
func decision(err error) error {
	for from, to := range map[error]error{
		raftgroup.ErrConflict: web.ErrConflict, raftgroup.ErrUnknown: web.ErrNotFound, raftgroup.ErrCommand: web.ErrInvalid,
		raftgroup.ErrNoLeader: web.ErrUnavailable, raftgroup.ErrClosed: web.ErrUnavailable,
	} {
		if !errors.Is(err, from) {
			continue
		}
		if errors.Is(to, web.ErrNotFound) {
			err = fmt.Errorf("%w; drawbridge config log lists the versions", err)
		}
		return repliedError{err.Error(), to}
	}
	return err
}

// parsed reads a document for the API.
func parsed(text string) (*netconfig.Document, error) {
	d, err := netconfig.Parse("", []byte(text))
	var all netconfig.Problems
	if !errors.As(err, &all) {
		return d, err
	}
	invalid := make(web.InvalidConfig, len(all))
	for i, p := range all {
		invalid[i] = web.ConfigProblem{Line: p.Line, Column: p.Column, Setting: p.Key, Text: p.Text}
	}
	return d, invalid
}

func (n *Node) putConfig(ctx context.Context, p web.ConfigProposal) (configReply, error) {
	d, err := parsed(p.Text)
	if err != nil {
		return configReply{}, err
	}
	if err := n.checkSubnets(ctx, d); err != nil {
		return configReply{}, err
	}
	state, err := n.knowing(ctx, p)
	if err != nil {
		return configReply{}, err
	}
	if err := keepUsers(&state, d); err != nil {
		return configReply{}, err
	}
	document, err := d.JSON()
	if err != nil {
		return configReply{}, err
	}
	if r, done, err := asked(&state, p, document); done {
		return r, err
	}
	base := n.base(&state, p)
	if base == 0 && p.Within > 0 {
		if base, err = n.putDefaults(ctx, p); err != nil {
			return configReply{}, err
		}
	}
	return n.propose(ctx, p, base, raftgroup.Command{PutConfig: &raftgroup.PutConfig{
		Base: base, Comment: p.Comment, Document: document, Within: p.Within, Follows: follows(d),
	}})
}

// knowing is what was decided, with the version that a change begins with: who asks may have heard of it from another voter, before this one.
func (n *Node) knowing(ctx context.Context, p web.ConfigProposal) (raftgroup.State, error) {
	state, _ := n.voter.group.State()
	if p.Any || p.Base <= state.LastVersion {
		return state, nil
	}
	state, err := n.voter.group.Confirmed(ctx, p.By)
	return state, decision(err)
}

// keepUsers leaves the users as they are when a document says nothing of them: not everybody who changes a timer may see
// them. An empty table removes them.
func keepUsers(state *raftgroup.State, d *netconfig.Document) error {
	newest, ok := state.Newest()
	if !ok || d.Users != nil {
		return nil
	}
	now, err := netconfig.Read(newest.Document)
	if err != nil {
		return fmt.Errorf("%w: version %d: %w", web.ErrConflict, newest.Number, err)
	}
	d.Users = now.Users
	return nil
}

// putDefaults gives a first version that has to be confirmed something to go back to.
func (n *Node) putDefaults(ctx context.Context, p web.ConfigProposal) (uint64, error) {
	d := netconfig.Default()
	document, err := d.JSON()
	if err != nil {
		return 0, err
	}
	r, err := n.propose(ctx, web.ConfigProposal{By: p.By}, 0, raftgroup.Command{PutConfig: &raftgroup.PutConfig{
		Comment: "the defaults, to go back to", Document: document, Follows: follows(d),
	}})
	if err != nil {
		return 0, err
	}
	return r.Version.Number, nil
}

func (n *Node) base(state *raftgroup.State, p web.ConfigProposal) uint64 {
	if !p.Any {
		return p.Base
	}
	v, _ := state.Newest()
	return v.Number
}

// request is the id of the command that a change becomes: the same for the same key of the same author.
func request(p web.ConfigProposal) string {
	if p.Key == "" {
		return rand.Text()
	}
	sum := sha256.Sum256([]byte(p.By + "\x00" + p.Key))
	return "key " + hex.EncodeToString(sum[:])
}

// asked finds the version that an earlier request with the same key made. The key of another change is refused.
func asked(state *raftgroup.State, p web.ConfigProposal, document []byte) (r configReply, done bool, err error) {
	if p.Key == "" {
		return r, false, nil
	}
	id := request(p)
	for _, v := range state.Versions {
		if v.Request != id {
			continue
		}
		if document != nil && string(v.Document) != string(canonical(document)) || document == nil && v.Of != p.To {
			return r, true, fmt.Errorf("%w: the Idempotency-Key was used for version %d, which is another change: choose a new key", web.ErrInvalid, v.Number)
		}
		return configReply{Version: &v}, true, nil
	}
	return r, false, nil
}

// canonical is a document as it comes out of the log, which escapes what HTML would not take.
func canonical(document []byte) []byte {
	out, err := json.Marshal(json.RawMessage(document))
	if err != nil {
		return document
	}
	return out
}

func (n *Node) rollbackConfig(ctx context.Context, p web.ConfigProposal) (configReply, error) {
	state, err := n.knowing(ctx, p)
	if err != nil {
		return configReply{}, err
	}
	base := n.base(&state, p)
	c, err := goBack(&state, p, base)
	if err != nil {
		return configReply{}, err
	}
	var document []byte
	if c.PutConfig != nil {
		document = c.PutConfig.Document
	}
	if r, done, err := asked(&state, p, document); done {
		return r, err
	}
	return n.propose(ctx, p, base, c)
}

// goBack is the decision that an earlier version is in force again. A roll back names that version and no more: where the
// users stay as they are (ADR 0020), or it goes unless it is confirmed, it is a change to what that version said, which
// voters of every release understand.
func goBack(state *raftgroup.State, p web.ConfigProposal, base uint64) (c raftgroup.Command, err error) {
	to, err := state.Version(p.To)
	if err != nil {
		return c, decision(err)
	}
	d, users, err := withUsersOfNow(state, &to)
	if err != nil {
		return c, err
	}
	if !users && p.Within == 0 {
		c.RollbackConfig = &raftgroup.RollbackConfig{Base: base, To: p.To, Comment: p.Comment, Length: to.Length()}
		return c, nil
	}
	document, err := d.JSON()
	c.PutConfig = &raftgroup.PutConfig{Base: base, Comment: backAgain(p, users), Document: document, Within: p.Within, Follows: follows(d)}
	return c, err
}

// withUsersOfNow is what a version says, with the users of the newest, and whether those are others.
func withUsersOfNow(state *raftgroup.State, to *raftgroup.Version) (d *netconfig.Document, others bool, err error) {
	newest, _ := state.Newest()
	now, err := netconfig.Read(newest.Document)
	if err != nil {
		return nil, false, fmt.Errorf("%w: version %d: %w", web.ErrConflict, newest.Number, err)
	}
	if d, err = netconfig.Read(to.Document); err != nil {
		return nil, false, fmt.Errorf("%w: version %d: %w", web.ErrConflict, to.Number, err)
	}
	others = string(canonical(now.Users)) != string(canonical(d.Users))
	d.Users = now.Users
	return d, others, nil
}

// backAgain is the comment of a version that says again what an earlier one did, and does not name it otherwise; as
// much of it as the log of the voters takes.
func backAgain(p web.ConfigProposal, users bool) string {
	text := fmt.Sprintf("the same as version %d", p.To)
	if users {
		text += ", users as they are"
	}
	if p.Comment != "" {
		text += "; " + p.Comment
	}
	return drawbridge.Cut(text, raftgroup.MaxText)
}

// propose has a change decided and answers with the version that it made.
func (n *Node) propose(ctx context.Context, p web.ConfigProposal, base uint64, c raftgroup.Command) (configReply, error) {
	c.ID, c.By, c.Time = request(p), p.By, time.Now()
	index, err := n.voter.group.Propose(ctx, c)
	state, _ := n.voter.group.State()
	if newest, _ := state.Newest(); errors.Is(err, raftgroup.ErrConflict) && (newest.Number != base || !newest.Waiting()) {
		return configReply{}, repliedError{err.Error(), web.ErrStale} // a conflict with what waits is told apart
	}
	if err != nil {
		return configReply{}, decision(err)
	}
	n.caughtUp(ctx, index)
	state, _ = n.voter.group.State()
	for _, v := range slices.Backward(state.Versions) {
		if v.Request == c.ID {
			return configReply{Version: &v}, nil
		}
	}
	return configReply{}, fmt.Errorf("%w: the change was decided, but this voter has not heard of it yet: look at drawbridge config log", web.ErrUnavailable)
}

// versionOf is a version in the words of the API.
func versionOf(v *raftgroup.Version, newest uint64) web.ConfigVersion {
	w := web.ConfigVersion{
		Version: v.Number, Parent: v.Parent, Of: v.Of, State: web.ConfigSuperseded, Author: v.Author, Time: v.Time.UTC(), Comment: v.Comment,
		ConfirmS: v.Within.Seconds(), Document: v.Document,
	}
	switch {
	case v.Reverted:
		w.State = web.ConfigReverted
	case v.Number == newest && v.Waiting():
		w.State = web.ConfigWaiting
		by := v.Time.Add(v.Within).UTC()
		w.ConfirmBy = &by
	case v.Number == newest:
		w.State = web.ConfigCurrent
	}
	if v.Settled != nil {
		at := v.Settled.At.UTC()
		w.Settled, w.SettledBy = &at, v.Settled.By
	}
	return w
}

// unset stands for the configuration before the first version.
func unset() (web.ConfigVersion, error) {
	document, err := netconfig.Default().JSON()
	return web.ConfigVersion{State: web.ConfigCurrent, Comment: "nothing was configured yet; these are the defaults", Document: document}, err
}

// ConfigVersion implements web.Configurer.
func (n *Node) ConfigVersion(ctx context.Context, number uint64) (web.ConfigVersion, error) {
	r, err := n.askConfig(ctx, configQuestion{Op: opGet, Number: number})
	if err != nil {
		return web.ConfigVersion{}, err
	}
	if r.Version == nil {
		return unset()
	}
	return versionOf(r.Version, cmp.Or(r.Newest, r.Version.Number)), nil
}

// ConfigVersions implements web.Configurer.
func (n *Node) ConfigVersions(ctx context.Context, below uint64, limit int) (web.ConfigHistory, error) {
	r, err := n.askConfig(ctx, configQuestion{Op: opList, Number: below, Limit: limit})
	h := web.ConfigHistory{Newest: r.Newest, Oldest: r.Oldest, Gone: max(r.Oldest, 1) - 1, Versions: []web.ConfigVersion{}}
	for i := range r.Versions {
		v := versionOf(&r.Versions[i], r.Newest)
		v.Document = nil
		h.Versions = append(h.Versions, v)
	}
	return h, err
}

// documentOf is a version's document, and its number.
func (n *Node) documentOf(ctx context.Context, number uint64) (web.ConfigVersion, *netconfig.Document, error) {
	v, err := n.ConfigVersion(ctx, number)
	if err != nil {
		return v, nil, err
	}
	d, err := netconfig.Read(v.Document)
	if err != nil {
		return v, nil, fmt.Errorf("%w: version %d: %w", web.ErrConflict, v.Version, err)
	}
	return v, d, nil
}

// CheckConfig implements web.Configurer.
func (n *Node) CheckConfig(ctx context.Context, text string) (web.ConfigCheck, error) {
	before, old, err := n.documentOf(ctx, 0)
	if err != nil {
		return web.ConfigCheck{}, err
	}
	c := web.ConfigCheck{OK: true, Base: before.Version}
	d, err := parsed(text)
	if err == nil {
		err = n.checkSubnets(ctx, d)
	}
	var invalid web.InvalidConfig
	if errors.As(err, &invalid) {
		c.OK, c.Problems = false, invalid
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.Changes, c.Unified, err = differences(titled(before.Version), "changed", old, d)
	return c, err
}

// titled names a version; 0 is before the first.
func titled(number uint64) string {
	if number == 0 {
		return "the defaults"
	}
	return fmt.Sprintf("version %d", number)
}

// differences compares two documents.
func differences(from, to string, a, b *netconfig.Document) (changes []web.ConfigSetting, unified string, err error) {
	for _, c := range netconfig.Diff(a, b) {
		changes = append(changes, web.ConfigSetting{Setting: c.Path, Before: c.Before, After: c.After})
	}
	textA, err := open(a)
	if err != nil {
		return nil, "", err
	}
	textB, err := open(b)
	if err != nil {
		return nil, "", err
	}
	return changes, netconfig.Unified(from, to, textA, textB), nil
}

// open is a document as TOML, without what users keep secret.
func open(d *netconfig.Document) (string, error) {
	lean := *d
	lean.Users = nil
	text, err := lean.TOML()
	return string(text), err
}

// DiffConfig implements web.Configurer.
func (n *Node) DiffConfig(ctx context.Context, from, to uint64) (web.ConfigDiff, error) {
	b, newer, err := n.documentOf(ctx, to)
	if err != nil {
		return web.ConfigDiff{}, err
	}
	if from == 0 {
		from = b.Parent
	}
	older, d := netconfig.Default(), web.ConfigDiff{From: from, To: b.Version}
	if from != 0 {
		if _, older, err = n.documentOf(ctx, from); err != nil {
			return d, err
		}
	}
	d.Changes, d.Unified, err = differences(titled(from), titled(b.Version), older, newer)
	return d, err
}

// ExportConfig implements web.Configurer.
func (n *Node) ExportConfig(ctx context.Context, number uint64, form string) (string, error) {
	_, d, err := n.documentOf(ctx, number)
	if err != nil {
		return "", err
	}
	var text []byte
	if form == "json" {
		text, err = json.MarshalIndent(d, "", "  ")
		text = append(text, '\n')
	} else {
		text, err = d.TOML()
	}
	return string(text), err
}

// signed adds to who asks on which peer that was.
func (n *Node) signed(by string) string {
	return cmp.Or(by, "local") + "@" + string(n.creds.Name)
}

// ChangeConfig implements web.Configurer.
func (n *Node) ChangeConfig(ctx context.Context, p web.ConfigProposal) (web.ConfigVersion, error) {
	if _, err := parsed(p.Text); err != nil { // no need to bother a voter
		return web.ConfigVersion{}, err
	}
	return n.changeConfig(ctx, opPut, p)
}

// RollbackConfig implements web.Configurer.
func (n *Node) RollbackConfig(ctx context.Context, p web.ConfigProposal) (web.ConfigVersion, error) {
	return n.changeConfig(ctx, opRollback, p)
}

func (n *Node) changeConfig(ctx context.Context, op string, p web.ConfigProposal) (web.ConfigVersion, error) {
	p.By = n.signed(p.By)
	p.Key = cmp.Or(p.Key, rand.Text()) // another voter may be asked when the first does not answer
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	r, err := n.askConfig(ctx, configQuestion{Op: op, Proposal: p})
	if err != nil {
		return web.ConfigVersion{}, err
	}
	n.event(web.Event{Level: web.LevelInfo, Kind: "config_changed", Text: fmt.Sprintf("version %d of the network configuration, by %s", r.Version.Number, r.Version.Author), Reason: r.Version.Comment})
	return versionOf(r.Version, r.Version.Number), nil
}

// ConfirmConfig implements web.Configurer.
func (n *Node) ConfirmConfig(ctx context.Context, number uint64, by string) (web.ConfigVersion, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	r, err := n.askConfig(ctx, configQuestion{Op: opConfirm, Number: number, Proposal: web.ConfigProposal{By: n.signed(by)}})
	if err != nil {
		return web.ConfigVersion{}, err
	}
	return versionOf(r.Version, cmp.Or(r.Newest, r.Version.Number)), nil
}

// ConfigApplied implements web.Configurer.
func (n *Node) ConfigApplied(number uint64) web.ConfigApplied {
	if number == 0 {
		number = n.network.acks.Newest()
	}
	return n.network.acks.Applied(number, n.router.Peers(), time.Now())
}
