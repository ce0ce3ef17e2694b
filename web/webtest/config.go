package webtest

import (
	"context"
	"encoding/json"

	"github.com/drawbridge-net/drawbridge/web"
)

// config is what a Node answers about the network configuration.
func config() web.ConfigVersion {
	return web.ConfigVersion{
		Version: 3, Parent: 2, State: web.ConfigCurrent, Author: "alice@a", Time: Now, Comment: "the office moves",
		Document: json.RawMessage(`{"format":1}`),
	}
}

// ConfigVersion implements web.Configurer.
func (n *Node) ConfigVersion(_ context.Context, number uint64) (web.ConfigVersion, error) {
	v := config()
	if number != 0 {
		v.Version = number
	}
	return v, n.read().Failure
}

// ConfigVersions implements web.Configurer.
func (n *Node) ConfigVersions(context.Context, uint64, int) (web.ConfigHistory, error) {
	v := config()
	v.Document = nil
	return web.ConfigHistory{Newest: 3, Oldest: 1, Versions: []web.ConfigVersion{v}}, n.read().Failure
}

// CheckConfig implements web.Configurer.
func (n *Node) CheckConfig(_ context.Context, text string) (web.ConfigCheck, error) {
	return web.ConfigCheck{OK: true, Base: 3}, n.note("check %s", text)
}

// DiffConfig implements web.Configurer.
func (n *Node) DiffConfig(_ context.Context, from, to uint64) (web.ConfigDiff, error) {
	return web.ConfigDiff{
		From: from, To: to, Changes: []web.ConfigSetting{{Setting: "timers.profile", Before: `"default"`, After: `"wan"`}},
		Unified: "--- version 1\n+++ version 2\n@@ -1,3 +1,3 @@\n format = 1\n [timers]\n-profile = 'default'\n+profile = 'wan'\n",
	}, n.read().Failure
}

// ExportConfig implements web.Configurer.
func (n *Node) ExportConfig(_ context.Context, _ uint64, form string) (string, error) {
	if form == "json" {
		return `{"format":1}`, n.read().Failure
	}
	return "format = 1\n", n.read().Failure
}

// ChangeConfig implements web.Configurer.
func (n *Node) ChangeConfig(_ context.Context, p web.ConfigProposal) (web.ConfigVersion, error) {
	return config(), n.note("change %d any=%v to %s within %v because %q by %s, key %q", p.Base, p.Any, p.Text, p.Within, p.Comment, p.By, p.Key)
}

// ConfirmConfig implements web.Configurer.
func (n *Node) ConfirmConfig(_ context.Context, number uint64, by string) (web.ConfigVersion, error) {
	return config(), n.note("confirm %d by %s", number, by)
}

// RollbackConfig implements web.Configurer.
func (n *Node) RollbackConfig(_ context.Context, p web.ConfigProposal) (web.ConfigVersion, error) {
	return config(), n.note("rollback %d any=%v to %d within %v because %q by %s, key %q", p.Base, p.Any, p.To, p.Within, p.Comment, p.By, p.Key)
}

// ConfigApplied implements web.Configurer.
func (n *Node) ConfigApplied(number uint64) web.ConfigApplied {
	return web.ConfigApplied{Version: number, Complete: n.read().Silent == "", Peers: []web.AppliedPeer{{Peer: "a", State: web.AppliedYes, Version: number}}}
}
