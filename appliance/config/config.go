// Package config reads the node file: what is true of this host only. It is strict, because a misspelt key
// that is ignored is a gateway that does something else than its operator believes.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/drawbridge-net/drawbridge"
)

// DefaultPath is where the node file is when nobody says otherwise.
const DefaultPath = "/etc/drawbridge/drawbridge.toml"

// DefaultPort is the TCP and UDP port between peers, completed where an address names none.
const DefaultPort = "6630"

// ConsolePort is the TCP port of the console, completed where its address names none.
const ConsolePort = "8630"

// Config is a node file that has been read and checked. Every field has its default filled in.
type Config struct {
	Path string `toml:"-"` // the file that it came from

	Name      drawbridge.PeerName `toml:"name"`      // empty: whatever the identity says
	StateDir  string              `toml:"state_dir"` // absolute
	Socket    string              `toml:"socket"`    // absolute
	Listen    []string            `toml:"listen"`    // IP:port, at least one
	Advertise []string            `toml:"advertise"` // host:port; nil: found out; empty: this peer only calls others
	Join      []string            `toml:"join"`      // host:port
	Profile   string              `toml:"profile"`   // of the membership
	Console   string              `toml:"console"`   // IP:port; empty: no HTTPS
	Log       Log                 `toml:"log"`
	Data      Data                `toml:"data"`
	Segments  []Segment           `toml:"segment"`
	Guests    []Guest             `toml:"guest"`
}

// Log is the [log] table.
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Slog is the level as slog knows it.
func (l Log) Slog() (level slog.Level) {
	_ = level.UnmarshalText([]byte(l.Level)) // Load accepts no other words
	return level
}

// Profiles of the membership.
const (
	ProfileLAN = "lan"
	ProfileWAN = "wan"
)

// Ciphers of data links.
const (
	CipherAES  = "aes-128-gcm"
	CipherNone = "none"
)

// Data is the [data] table: how frames travel between peers.
type Data struct {
	Cipher  string `toml:"cipher"`
	Offload bool   `toml:"offload"`
	Batch   int    `toml:"batch"`
}

// Modes of a segment port.
const (
	ModeAuto         = "auto"
	ModePassive      = "passive"
	ModeActiveManual = "active-manual"
)

// Segment is one [[segment]] table: a port on a VLAN of which this host is a gateway.
type Segment struct {
	Name      string         `toml:"name"`
	Interface string         `toml:"interface"`
	VLAN      uint16         `toml:"vlan"` // 0: untagged
	VNI       drawbridge.VNI `toml:"vni"`
	Mode      string         `toml:"mode"`
}

// Guest is one [[guest]] table: a port for containers and virtual machines on this host. Exactly one of
// Interface and TAP is set.
type Guest struct {
	Interface string         `toml:"interface"`
	TAP       string         `toml:"tap"`
	VNI       drawbridge.VNI `toml:"vni"`
	Bridge    string         `toml:"bridge"`
	MTU       int            `toml:"mtu"` // of the TAP; 0: what fits the overlay
}

// Default is the node file that says nothing.
func Default() *Config {
	return &Config{
		StateDir: "/var/lib/drawbridge",
		Socket:   "/run/drawbridge/drawbridge.sock",
		Listen:   []string{"0.0.0.0:" + DefaultPort},
		Log:      Log{Level: "info", Format: "text"},
		Profile:  ProfileLAN,
		Data:     Data{Cipher: CipherAES, Offload: true, Batch: 64},
	}
}

// ErrMissing says that there is no node file.
var ErrMissing = errors.New("no node file")

// Load reads and checks the node file at path. When it is refused, the error holds one *Problem for
// everything that is wrong with it, in the order of the file.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s: write one with drawbridge init or drawbridge join, or name it with --config", ErrMissing, path)
	}
	if err != nil {
		return nil, fmt.Errorf("node file: %w", err)
	}
	return Parse(path, text)
}

// Parse is Load for a text that has been read; path only names it in errors.
func Parse(path string, text []byte) (*Config, error) {
	c := Default()
	places, err := decode(path, text, c)
	if err != nil {
		return nil, err
	}
	c.Path = path
	c.complete(places)
	if problems := append(places.unknown(), c.check()...); len(problems) > 0 {
		return nil, places.locate(path, problems)
	}
	return c, nil
}

// complete fills in the defaults of tables in arrays, which a decoder starts from zero, and the port of
// addresses that name none.
func (c *Config) complete(given places) {
	for i := range c.Segments {
		s, key := &c.Segments[i], fmt.Sprintf("segment[%d].", i+1)
		if !given.has(key + "vni") {
			s.VNI = 1
		}
		if !given.has(key + "mode") {
			s.Mode = ModeAuto
		}
	}
	for i := range c.Guests {
		if !given.has(fmt.Sprintf("guest[%d].vni", i+1)) {
			c.Guests[i].VNI = 1
		}
	}
	c.Console = withPort(c.Console, ConsolePort)
	for _, list := range [][]string{c.Listen, c.Advertise, c.Join} {
		for i, a := range list {
			list[i] = withPort(a, DefaultPort)
		}
	}
}
