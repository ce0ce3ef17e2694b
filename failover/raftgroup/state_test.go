package raftgroup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/drawbridge-net/drawbridge"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// decided applies commands to a new state; none may be refused.
func decided(t testing.TB, commands ...Command) State {
	t.Helper()
	s := newState()
	for _, c := range commands {
		var err error
		if s, err = s.Apply(s.Index+1, c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func timers(renew, length time.Duration) Command {
	return Command{SetTimers: &SetTimers{renew, length}}
}

func segment(name string, vni drawbridge.VNI) Command {
	return Command{SetSegment: &SetSegment{name, Segment{VNI: vni}}}
}

func config(base uint64, document string) Command {
	return Command{By: "ann", Time: noon, PutConfig: &PutConfig{Base: base, Document: json.RawMessage(document)}}
}

func maintenance(peer drawbridge.PeerName, on bool) Command {
	return Command{By: "ann", Time: noon, Maintenance: &Maintenance{peer, on}}
}

func encoded(t testing.TB, s State) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEveryDecision(t *testing.T) {
	big := Segment{VNI: drawbridge.MaxVNI, Eligible: []drawbridge.PeerName{"b", "a", "b"}, Preferred: "a", Hold: true}
	tests := map[string]struct {
		commands []Command
		holds    func(State) bool
	}{
		"nothing yet": {nil, func(s State) bool {
			return s.Generation == 1 && s.Timers == DefaultTimers && s.Policy == CloseGates && len(s.Segments) == 0
		}},
		"segment": {[]Command{segment("lan", 7)}, func(s State) bool { return s.Segments["lan"].VNI == 7 && s.Index == 1 }},
		"segment, all of it": {[]Command{{SetSegment: &SetSegment{"lan", big}}}, func(s State) bool {
			g := s.Segments["lan"]
			return g.VNI == drawbridge.MaxVNI && g.Hold && g.Preferred == "a" && slices.Equal(g.Eligible, []drawbridge.PeerName{"a", "b"})
		}},
		"segment, again":     {[]Command{segment("lan", 7), segment("lan", 8)}, func(s State) bool { return len(s.Segments) == 1 && s.Segments["lan"].VNI == 8 }},
		"segment removed":    {[]Command{segment("lan", 7), {RemoveSegment: &RemoveSegment{"lan"}}}, func(s State) bool { return len(s.Segments) == 0 }},
		"maintenance":        {[]Command{maintenance("a", true)}, func(s State) bool { return s.Gateways["a"] == Gateway{Maintenance: true, Since: noon, By: "ann"} }},
		"maintenance, again": {[]Command{maintenance("a", true), {By: "bob", Time: noon.Add(1), Maintenance: &Maintenance{"a", true}}}, func(s State) bool { return s.Gateways["a"].By == "ann" && s.Gateways["a"].Since.Equal(noon) }},
		"maintenance over":   {[]Command{maintenance("a", true), maintenance("a", false)}, func(s State) bool { return !s.Gateways["a"].Maintenance }},
		"priority": {[]Command{maintenance("a", true), {Priority: &Priority{"a", -3}}}, func(s State) bool {
			return s.Gateways["a"].Priority == -3 && s.Gateways["a"].Maintenance
		}},
		"generation":        {[]Command{{Generation: &Generation{1}}}, func(s State) bool { return s.Generation == 2 }},
		"generation, twice": {[]Command{{Generation: &Generation{1}}, {Generation: &Generation{1}}}, func(s State) bool { return s.Generation == 2 }},
		"generation, far":   {[]Command{{Generation: &Generation{math.MaxUint32 - 1}}}, func(s State) bool { return s.Generation == math.MaxUint32 }},
		"timers":            {[]Command{timers(5*time.Millisecond, 20*time.Millisecond)}, func(s State) bool { return s.Timers == Timers{5e6, 20e6, 40e6, 1} }},
		"timers, longer":    {[]Command{timers(50e6, 250e6), timers(5e6, 20e6)}, func(s State) bool { return s.Timers == Timers{5e6, 20e6, 250e6, 2} }},
		"timers outlived":   {[]Command{timers(50e6, 250e6), timers(5e6, 20e6), {RetireTimers: &RetireTimers{2}}}, func(s State) bool { return s.Timers == Timers{5e6, 20e6, 20e6, 2} }},
		"policy":            {[]Command{{SetPolicy: &SetPolicy{BySegment}}}, func(s State) bool { return s.Policy == BySegment }},
		"configuration": {[]Command{config(0, `{"a":1}`), config(1, `{"a":2}`)}, func(s State) bool {
			return s.newest() == 2 && len(s.Versions) == 2 && s.Versions[1].Author == "ann" && s.Versions[1].Time.Equal(noon)
		}},
		"fact":                {[]Command{{PutFact: &PutFact{"a/eth1", Fact{"same-wire", "b/eth2", noon}}}}, func(s State) bool { return s.Facts["a/eth1"].Value == "b/eth2" }},
		"fact removed":        {[]Command{{PutFact: &PutFact{"k", Fact{Kind: "x"}}}, {PutFact: &PutFact{Key: "k"}}}, func(s State) bool { return len(s.Facts) == 0 }},
		"peer removed":        {[]Command{maintenance("a", true), {By: "ann", Time: noon, Remove: &Remove{"a", 7}}}, func(s State) bool { return s.Revoked[7] == RevokedEntry{"a", noon, "ann"} && len(s.Gateways) == 0 }},
		"peer removed, again": {[]Command{{Remove: &Remove{"a", 7}}, maintenance("a", true), {Remove: &Remove{"a", 7}}}, func(s State) bool { return s.Gateways["a"].Maintenance }},
		"two of one name":     {[]Command{{Remove: &Remove{"a", 7}}, {Remove: &Remove{"a", 8}}}, func(s State) bool { return len(s.Revoked) == 2 }},
		"asked twice":         {[]Command{config(0, `1`), func() Command { c := config(1, `2`); c.ID = "x"; return c }(), func() Command { c := config(1, `2`); c.ID = "x"; return c }()}, func(s State) bool { return s.newest() == 2 && s.Index == 3 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if s := decided(t, tt.commands...); !tt.holds(s) || s.Index != uint64(len(tt.commands)) {
				t.Errorf("state is %s", encoded(t, s))
			}
		})
	}
}

// Two names of segments with one FNV-1a hash of 32 bits.
const oneName, sameIDName = "s31597", "s618190"

func TestImpossibleDecisionsAreRefused(t *testing.T) {
	many := make([]drawbridge.PeerName, maxEligible+1)
	for i := range many {
		many[i] = drawbridge.PeerName(fmt.Sprintf("p%d", i))
	}
	before := decided(t, segment(oneName, 1), config(0, `{}`), timers(50e6, 250e6), maintenance("gw", true))
	tests := map[string]struct {
		command Command
		want    error
		word    string
	}{
		"nothing":              {Command{ID: "x"}, ErrCommand, "0 decisions"},
		"two at once":          {Command{RetireTimers: &RetireTimers{3}, RemoveSegment: &RemoveSegment{oneName}}, ErrCommand, "2 decisions"},
		"long id":              {Command{ID: strings.Repeat("x", MaxText+1), RemoveSegment: &RemoveSegment{oneName}}, ErrCommand, "257 bytes"},
		"segment's name":       {segment("LAN 1", 1), ErrCommand, "LAN 1"},
		"no overlay":           {segment("lan", 0), ErrCommand, "overlay number 0"},
		"overlay of 25 bits":   {segment("lan", drawbridge.MaxVNI+1), ErrCommand, "overlay number"},
		"same segment id":      {segment(sameIDName, 1), ErrCommand, "choose another name"},
		"stranger preferred":   {Command{SetSegment: &SetSegment{"lan", Segment{VNI: 1, Eligible: []drawbridge.PeerName{"x"}, Preferred: "y"}}}, ErrCommand, "not eligible"},
		"too many eligible":    {Command{SetSegment: &SetSegment{"lan", Segment{VNI: 1, Eligible: many}}}, ErrCommand, "at most 64"},
		"eligible nobody":      {Command{SetSegment: &SetSegment{"lan", Segment{VNI: 1, Eligible: []drawbridge.PeerName{""}}}}, ErrCommand, "peer"},
		"no such segment":      {Command{RemoveSegment: &RemoveSegment{"nowhere"}}, ErrUnknown, "nowhere"},
		"maintenance, nobody":  {maintenance("", true), ErrCommand, "peer"},
		"priority, nobody":     {Command{Priority: &Priority{"A!", 1}}, ErrCommand, "A!"},
		"last generation":      {Command{Generation: &Generation{math.MaxUint32}}, ErrCommand, "no generation above"},
		"renewed too often":    {timers(time.Microsecond, time.Second), ErrCommand, "at least 1ms"},
		"renewed too late":     {timers(10e6, 29e6), ErrCommand, "3 renewals"},
		"lease without end":    {timers(10e6, time.Minute), ErrCommand, "10s"},
		"renewal overflows":    {timers(math.MaxInt64/2+1, time.Second), ErrCommand, "3 renewals"},
		"negative":             {timers(-10e6, -40e6), ErrCommand, "1ms"},
		"timers changed since": {Command{RetireTimers: &RetireTimers{2}}, ErrConflict, "decided at 3"},
		"policy":               {Command{SetPolicy: &SetPolicy{"hope"}}, ErrCommand, "close, hold or segment"},
		"old base":             {config(0, `{}`), ErrConflict, "newest is 1"},
		"base of tomorrow":     {config(2, `{}`), ErrConflict, "newest is 1"},
		"not JSON":             {config(1, `{`), ErrCommand, "JSON"},
		"no document":          {config(1, ``), ErrCommand, "JSON"},
		"huge document":        {config(1, `"`+strings.Repeat("x", maxDocument)+`"`), ErrCommand, "at most"},
		"fact without key":     {Command{PutFact: &PutFact{Fact: Fact{Kind: "x"}}}, ErrCommand, "key"},
		"long fact":            {Command{PutFact: &PutFact{"k", Fact{Kind: "x", Value: strings.Repeat("v", MaxText+1)}}}, ErrCommand, "257"},
		"remove nobody":        {Command{Remove: &Remove{"a", 0}}, ErrCommand, "id 0"},
		"remove the nameless":  {Command{Remove: &Remove{"", 7}}, ErrCommand, "peer"},
		"restore nothing":      {Command{Restore: &Restore{}}, ErrCommand, "generation 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			after, err := before.Apply(before.Index+1, tt.command)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.word) {
				t.Errorf("error is %v, want %v and %q", err, tt.want, tt.word)
			}
			want := before
			want.Index++
			if encoded(t, after) != encoded(t, want) {
				t.Errorf("state is %s, was %s", encoded(t, after), encoded(t, before))
			}
		})
	}
}

func TestTheStateIsBounded(t *testing.T) {
	s := decided(t)
	refused := map[string]error{}
	apply := func(kind string, c Command) {
		next, err := s.Apply(s.Index+1, c)
		if s = next; err != nil {
			refused[kind] = err
		}
	}
	for i := range maxFacts - 1 {
		s.Facts[fmt.Sprint(i)] = Fact{Kind: "x"}
		s.Gateways[drawbridge.PeerName(fmt.Sprint(i))] = Gateway{}
		s.Seen = append(s.Seen, fmt.Sprint(i))
	}
	for _, name := range []string{"x", "y"} {
		apply("fact", Command{ID: "fact " + name, PutFact: &PutFact{name, Fact{Kind: "x"}}})
		apply("gateway", Command{ID: "gateway " + name, Maintenance: &Maintenance{drawbridge.PeerName(name), true}})
	}
	if slices.Contains(s.Seen, "0") || !slices.Contains(s.Seen, "1") || !slices.Contains(s.Seen, "gateway x") || slices.Contains(s.Seen, "gateway y") {
		t.Errorf("the oldest ids are not forgotten: %q", s.Seen)
	}
	for i := range 2 * keepVersions {
		apply("version", config(uint64(i), `{}`))
	}
	if !errors.Is(refused["fact"], ErrCommand) || !errors.Is(refused["gateway"], ErrCommand) || refused["version"] != nil {
		t.Errorf("refused: %v", refused)
	}
	if len(s.Facts) != maxFacts || len(s.Gateways) != maxGateways || len(s.Versions) != keepVersions || len(s.Seen) != keepSeen {
		t.Errorf("%d facts, %d gateways, %d versions, %d ids", len(s.Facts), len(s.Gateways), len(s.Versions), len(s.Seen))
	}
	if s.newest() != 2*keepVersions || s.Versions[0].Number != keepVersions+1 {
		t.Errorf("versions are %d to %d", s.Versions[0].Number, s.newest())
	}
	large := `"` + strings.Repeat("x", maxDocument-2) + `"`
	for i := range 8 {
		apply("large", config(2*keepVersions+uint64(i), large))
	}
	if refused["large"] != nil || len(s.Versions) != keepHistory/maxDocument || s.newest() != 2*keepVersions+8 {
		t.Errorf("%d versions are kept: %v", len(s.Versions), refused["large"])
	}
}

// TestABackupCannotTurnBackTime: whatever stands in it, generation, promises, version numbers and removals go on.
func TestABackupCannotTurnBackTime(t *testing.T) {
	backup := decided(t, segment("old", 1), config(0, `"old"`), Command{PutFact: &PutFact{"old", Fact{Kind: "x"}}})
	now := decided(t, segment("new", 2), config(0, `1`), config(1, `2`), timers(50e6, 250e6), Command{Generation: &Generation{7}},
		Command{Time: noon, Remove: &Remove{"gone", 9}}, Command{ID: "x", PutFact: &PutFact{"new", Fact{Kind: "x"}}})
	for name, pair := range map[string][2]State{"older": {now, backup}, "of a stronger network": {backup, now}} {
		s, b := pair[0], pair[1]
		after, err := s.Apply(s.Index+1, Command{Restore: &Restore{b}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if after.Generation <= max(s.Generation, b.Generation) || after.Timers.Longest < max(s.Timers.Longest, b.Timers.Longest) {
			t.Errorf("%s: generation %d, longest lease %v", name, after.Generation, after.Timers.Longest)
		}
		if after.Index != s.Index+1 || after.Timers.Since != after.Index || !slices.Equal(after.Seen, s.Seen) {
			t.Errorf("%s: index %d, timers since %d", name, after.Index, after.Timers.Since)
		}
		if _, removed := after.Revoked[9]; !removed || len(after.Facts) != 2 {
			t.Errorf("%s: removed %v, facts %v", name, after.Revoked, after.Facts)
		}
		if _, ok := after.Segments["old"]; ok != (name == "older") || len(after.Segments) != 1 {
			t.Errorf("%s: segments %v", name, after.Segments)
		}
		next, err := after.Apply(after.Index+1, config(after.newest(), `"next"`))
		if err != nil || next.newest() <= max(s.newest(), b.newest()) {
			t.Errorf("%s: the next version is %d: %v", name, next.newest(), err)
		}
	}
	stale := decided(t)
	stale.Generation = math.MaxUint32
	if _, err := now.Apply(9, Command{Restore: &Restore{stale}}); !errors.Is(err, ErrCommand) {
		t.Errorf("no generation is left: %v", err)
	}
}

func TestImpossibleBackupsAreRefused(t *testing.T) {
	before := decided(t, segment("lan", 1))
	for name, spoil := range map[string]func(*State){
		"segment":        func(s *State) { s.Segments["LAN"] = Segment{VNI: 1} },
		"segment ids":    func(s *State) { s.Segments[oneName], s.Segments[sameIDName] = Segment{VNI: 1}, Segment{VNI: 2} },
		"overlay":        func(s *State) { s.Segments["x"] = Segment{} },
		"gateway":        func(s *State) { s.Gateways[""] = Gateway{} },
		"timers":         func(s *State) { s.Timers.Renew = 0 },
		"longest":        func(s *State) { s.Timers.Longest = 1 },
		"longest of all": func(s *State) { s.Timers.Longest = time.Hour },
		"policy":         func(s *State) { s.Policy = "" },
		"fact":           func(s *State) { s.Facts[""] = Fact{} },
		"removed":        func(s *State) { s.Revoked[0] = RevokedEntry{Name: "x"} },
		"versions":       func(s *State) { s.Versions = append(s.Versions, Version{Number: 9, Document: json.RawMessage("1")}) },
		"order":          func(s *State) { s.Versions, s.LastVersion = append(s.Versions, s.Versions...), 9 },
		"document":       func(s *State) { s.Versions[0].Document = json.RawMessage("{") },
	} {
		backup := decided(t, config(0, `1`))
		spoil(&backup)
		after, err := before.Apply(2, Command{Restore: &Restore{backup}})
		if !errors.Is(err, ErrCommand) || after.Generation != before.Generation || len(after.Segments) != 1 {
			t.Errorf("%s: %v, state %s", name, err, encoded(t, after))
		}
	}
}

// anyCommand draws commands that often meet what earlier ones left, and some that are refused.
func anyCommand() *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		name := rapid.SampledFrom([]string{"a", "b", "c", "Bad"}).Draw(t, "name")
		peer := drawbridge.PeerName(name)
		number := rapid.Uint32Range(0, 5).Draw(t, "number")
		c := Command{
			ID: rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(t, "id"), By: "ann",
			Time: noon.Add(time.Duration(rapid.IntRange(0, 1e9).Draw(t, "time"))),
		}
		switch rapid.IntRange(0, 15).Draw(t, "kind") {
		case 0:
			c.SetSegment = &SetSegment{name, Segment{VNI: drawbridge.VNI(number), Hold: number > 2, Eligible: []drawbridge.PeerName{peer, "z"}}}
		case 1:
			c.RemoveSegment = &RemoveSegment{name}
		case 2:
			c.Maintenance = &Maintenance{peer, number > 2}
		case 3:
			c.Priority = &Priority{peer, int(number) - 2}
		case 4:
			c.Generation = &Generation{number}
		case 5:
			c.SetTimers = &SetTimers{time.Duration(number) * time.Millisecond, time.Duration(rapid.IntRange(0, 30).Draw(t, "length")) * time.Millisecond}
		case 6:
			c.RetireTimers = &RetireTimers{uint64(number)}
		case 7:
			c.SetPolicy = &SetPolicy{rapid.SampledFrom([]QuorumPolicy{CloseGates, HoldGates, BySegment, "x"}).Draw(t, "policy")}
		case 8:
			c.PutConfig = &PutConfig{Base: uint64(number), Comment: "why", Document: json.RawMessage(rapid.SampledFrom([]string{`{ "a": "<&>" }`, `1`, `null`}).Draw(t, "document"))}
			c.PutConfig.Within = time.Duration(rapid.IntRange(-1, 2).Draw(t, "within"))
			if rapid.Bool().Draw(t, "follows") {
				c.PutConfig.Follows = &Follows{5e6, 20e6, map[string]Segment{name: {VNI: drawbridge.VNI(number)}}}
			}
		case 12:
			c.ConfirmConfig = &ConfirmConfig{uint64(number)}
		case 13:
			c.RevertConfig = &RevertConfig{uint64(number), time.Duration(rapid.SampledFrom([]int{0, 20e6}).Draw(t, "length"))}
		case 14:
			c.RollbackConfig = &RollbackConfig{uint64(number), uint64(rapid.IntRange(0, 5).Draw(t, "to")), "", time.Duration(rapid.SampledFrom([]int{0, 20e6}).Draw(t, "length"))}
		case 9:
			c.PutFact = &PutFact{name, Fact{rapid.SampledFrom([]string{"", "wire"}).Draw(t, "fact"), "v", noon}}
		case 10:
			c.Remove = &Remove{peer, drawbridge.PeerID(number)}
		case 11:
			backup := newState()
			backup.Generation, backup.Segments[name] = number, Segment{VNI: 1}
			c.Restore = &Restore{backup}
		}
		return c
	})
}

// entries are commands as they stand in the log.
func entries(t *rapid.T) (all []*raft.Log) {
	for i, c := range rapid.SliceOfN(anyCommand(), 1, 40).Draw(t, "commands") {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &raft.Log{Index: uint64(i + 1), Data: b})
	}
	return all
}

// TestReplicasAgree: one that carried out every entry, and one that was restored from a snapshot in between, perhaps
// twice, end with the same bytes; the state before an entry is never touched; and what must not go back does not.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := entries(t)
		cut := rapid.IntRange(0, len(all)).Draw(t, "snapshot after")
		one, two := newState(), newState()
		for i, entry := range all {
			if i == cut {
				two = reread(t, two)
			}
			before := reread(t, one)
			next, err := one.applyEntry(entry)
			if string(dump(t, one)) != string(dump(t, before)) {
				t.Fatal("the state before was changed")
			}
			again, errAgain := two.applyEntry(entry)
			if fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("one says %v, the other %v", err, errAgain)
			}
			if next.Generation < one.Generation || next.LastVersion < one.LastVersion || len(next.Revoked) < len(one.Revoked) || next.Index != entry.Index {
				t.Fatalf("from %s to %s", dump(t, one), dump(t, next))
			}
			if next.Timers.Longest < next.Timers.Length || next.valid() != nil {
				t.Fatalf("impossible: %s: %v", dump(t, next), next.valid())
			}
			one, two = next, again
		}
		if string(dump(t, one)) != string(dump(t, two)) {
			t.Fatalf("replicas differ:\n%s\n%s", dump(t, one), dump(t, two))
		}
	})
}

func dump(t *rapid.T, s State) []byte {
	var b bytes.Buffer
	if err := writeState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func reread(t *rapid.T, s State) State {
	again, err := readState(bytes.NewReader(dump(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	return again
}
