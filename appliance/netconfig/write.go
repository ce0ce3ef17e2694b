package netconfig

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// JSON writes the form that is stored: one line, every default filled in. Equal documents give equal bytes.
func (d *Document) JSON() ([]byte, error) { return json.Marshal(d) }

// TOML writes the form for people. Parse reads it back to the same document.
func (d *Document) TOML() ([]byte, error) {
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.SetArraysMultiline(false)
	form := struct {
		Format   int       `toml:"format"`
		Timers   any       `toml:"timers"`
		Overlays []Overlay `toml:"overlay,omitempty"`
		Segments []Segment `toml:"segment,omitempty"`
		Subnets  []Subnet  `toml:"subnet,omitempty"`
		Alerts   Alerts    `toml:"alerts,omitempty"`
		Users    any       `toml:"users,omitempty"`
	}{Format: d.Format, Timers: d.Timers, Overlays: d.Overlays, Segments: d.Segments, Subnets: d.Subnets, Alerts: d.Alerts}
	if d.Timers.Profile != ProfileCustom { // what the profile says would only be in the way of choosing another
		form.Timers = struct {
			Profile string `toml:"profile"`
		}{d.Timers.Profile}
	}
	if len(d.Users) > 0 {
		t, bad := readJSON(d.Users)
		if bad != nil {
			return nil, fmt.Errorf("users: %w", bad)
		}
		form.Users = t.root
	}
	if err := e.Encode(form); err != nil {
		return nil, fmt.Errorf("write the configuration as TOML: %w", err)
	}
	return b.Bytes(), nil
}
