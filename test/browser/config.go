package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// versions keeps a configuration as the voters do, on one node: checked and compared by the code of the product, reverted
// by End instead of a clock.
type versions struct {
	mu   sync.Mutex
	all  []web.ConfigVersion
	now  func() time.Time
	tell func()
}

func newVersions(now func() time.Time, tell func()) *versions {
	v := &versions{now: now, tell: tell}
	for i, text := range []string{"", "[timers]\nprofile = \"wan\"\n", "[timers]\nprofile = \"wan\"\n[[overlay]]\nname = \"main\"\nvni = 1\n[[segment]]\nname = \"office\"\noverlay = \"main\"\n"} {
		d, err := netconfig.Parse("", []byte(text))
		if err != nil {
			panic(err)
		}
		document, _ := d.JSON() // it was read from text
		n := uint64(i)
		v.all = append(v.all, web.ConfigVersion{
			Version: n + 1, Parent: n, State: web.ConfigSuperseded, Author: []string{"local@a", "alice@a", "bob@b"}[i], Time: webtest.Now.Add(-time.Duration(72-24*i) * time.Hour),
			Comment: []string{"the defaults", "b is far away", "the office moves"}[i], Document: document,
		})
	}
	v.all[2].State = web.ConfigCurrent
	return v
}

func read(v web.ConfigVersion) *netconfig.Document {
	d, err := netconfig.Read(v.Document)
	if err != nil {
		panic(err)
	}
	return d
}

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
	return nil, invalid
}

// differences are always lists, as the API's.
func differences(a, b *netconfig.Document, from, to string) ([]web.ConfigSetting, string) {
	changes := []web.ConfigSetting{}
	for _, c := range netconfig.Diff(a, b) {
		changes = append(changes, web.ConfigSetting{Setting: c.Path, Before: c.Before, After: c.After})
	}
	before, _ := a.TOML() // both were read
	after, _ := b.TOML()
	return changes, netconfig.Unified(from, to, string(before), string(after))
}

func (v *versions) newest() *web.ConfigVersion { return &v.all[len(v.all)-1] }

func (v *versions) at(number uint64) (web.ConfigVersion, error) {
	if number == 0 {
		return *v.newest(), nil
	}
	if number > uint64(len(v.all)) {
		return web.ConfigVersion{}, fmt.Errorf("version %d: %w", number, web.ErrNotFound)
	}
	return v.all[number-1], nil
}

// add puts a version in force and ends the one before.
func (v *versions) add(p web.ConfigProposal, of uint64, document json.RawMessage) web.ConfigVersion {
	now, last := v.now(), v.newest()
	if last.State == web.ConfigWaiting {
		last.State, last.Settled, last.SettledBy = web.ConfigReverted, &now, p.By
	} else {
		last.State = web.ConfigSuperseded
	}
	next := web.ConfigVersion{Version: last.Version + 1, Parent: last.Version, Of: of, State: web.ConfigCurrent, Author: p.By + "@a", Time: now, Comment: p.Comment, Document: document}
	if p.Within > 0 {
		until := now.Add(p.Within)
		next.State, next.ConfirmS, next.ConfirmBy = web.ConfigWaiting, p.Within.Seconds(), &until
	}
	v.all = append(v.all, next)
	go v.tell()
	return next
}

// End lets the time to confirm run out.
func (v *versions) End() {
	v.mu.Lock()
	defer v.mu.Unlock()
	waits := *v.newest()
	old, _ := v.at(waits.Parent) // it has one
	v.add(web.ConfigProposal{By: "nobody", Comment: fmt.Sprintf("version %d was not confirmed within %vs", waits.Version, waits.ConfirmS)}, old.Version, old.Document)
}

// ConfigVersion implements web.Configurer.
func (v *versions) ConfigVersion(_ context.Context, number uint64) (web.ConfigVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at(number)
}

// ConfigVersions implements web.Configurer.
func (v *versions) ConfigVersions(_ context.Context, _ uint64, limit int) (web.ConfigHistory, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := slices.Clone(v.all)
	slices.Reverse(all)
	all = all[:min(limit, len(all))]
	for i := range all {
		all[i].Document = nil
	}
	return web.ConfigHistory{Newest: v.newest().Version, Oldest: 1, Versions: all}, nil
}

// CheckConfig implements web.Configurer.
func (v *versions) CheckConfig(_ context.Context, text string) (web.ConfigCheck, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := web.ConfigCheck{OK: true, Base: v.newest().Version, Problems: []web.ConfigProblem{}, Changes: []web.ConfigSetting{}}
	d, err := parsed(text)
	if invalid, ok := errors.AsType[web.InvalidConfig](err); ok {
		c.OK, c.Problems = false, invalid
		return c, nil
	}
	if err == nil {
		c.Changes, c.Unified = differences(read(*v.newest()), d, fmt.Sprintf("version %d", c.Base), "changed")
	}
	return c, err
}

// DiffConfig implements web.Configurer.
func (v *versions) DiffConfig(_ context.Context, from, to uint64) (d web.ConfigDiff, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, err := v.at(to)
	if err != nil {
		return d, err
	}
	if from == 0 {
		from = b.Parent
	}
	older := netconfig.Default()
	if from > 0 {
		a, err := v.at(from)
		if err != nil {
			return d, err
		}
		older = read(a)
	}
	d.From, d.To = from, b.Version
	d.Changes, d.Unified = differences(older, read(b), fmt.Sprintf("version %d", from), fmt.Sprintf("version %d", b.Version))
	return d, nil
}

// ExportConfig implements web.Configurer.
func (v *versions) ExportConfig(_ context.Context, number uint64, form string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one, err := v.at(number)
	if err != nil || form == "json" {
		return string(one.Document), err
	}
	text, err := read(one).TOML()
	return string(text), err
}

// ChangeConfig implements web.Configurer.
func (v *versions) ChangeConfig(_ context.Context, p web.ConfigProposal) (web.ConfigVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, err := parsed(p.Text)
	if err != nil {
		return web.ConfigVersion{}, err
	}
	if now := v.newest(); !p.Any && p.Base != now.Version {
		return web.ConfigVersion{}, fmt.Errorf("the change is based on version %d, the newest is %d by %s: %w", p.Base, now.Version, now.Author, web.ErrStale)
	}
	document, err := d.JSON()
	return v.add(p, 0, document), err
}

// ConfirmConfig implements web.Configurer.
func (v *versions) ConfirmConfig(_ context.Context, number uint64, by string) (web.ConfigVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	last, now := v.newest(), v.now()
	if last.Version != number || last.State != web.ConfigWaiting {
		return web.ConfigVersion{}, fmt.Errorf("version %d does not wait: %w", number, web.ErrConflict)
	}
	last.State, last.Settled, last.SettledBy = web.ConfigCurrent, &now, by
	go v.tell()
	return *last, nil
}

// RollbackConfig implements web.Configurer.
func (v *versions) RollbackConfig(_ context.Context, p web.ConfigProposal) (web.ConfigVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, err := v.at(p.To)
	if err != nil {
		return old, err
	}
	if !p.Any && p.Base != v.newest().Version {
		return old, web.ErrStale
	}
	return v.add(p, old.Version, old.Document), nil
}

// ConfigApplied implements web.Configurer: b refuses what x has not seen, and z has gone.
func (v *versions) ConfigApplied(number uint64) web.ConfigApplied {
	v.mu.Lock()
	defer v.mu.Unlock()
	if number == 0 {
		number = v.newest().Version
	}
	since := v.now().Add(-3 * time.Minute)
	return web.ConfigApplied{Version: number, Peers: []web.AppliedPeer{
		{Peer: "b", State: web.AppliedRefused, Version: number - 1, Reason: "segment office: port eth9 is not there; plug it in or change the node file", Since: &since},
		{Peer: "x", State: web.AppliedBehind, Version: number - 1, Reason: "it has not got so far"},
		{Peer: "a", State: web.AppliedYes, Version: number},
		{Peer: "w", State: web.AppliedYes, Version: number},
		{Peer: "z", State: web.AppliedAway, Version: 1, Reason: "it has not answered for 3m0s", Since: &since},
	}}
}
