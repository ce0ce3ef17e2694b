package notify

import (
	"path"
	"strings"
)

// Kinds of events that come from here.
const (
	KindRaised   = "alert_raised"
	KindCleared  = "alert_cleared"
	KindDropped  = "alerts_dropped"
	KindMissed   = "alerts_missed"
	KindTest     = "test"
	KindReverted = "config_reverted"
	KindMoved    = "switchover_done"
	KindNotMoved = "switchover_failed"
	KindDrilled  = "drill_done"
	KindNoDrill  = "drill_skipped"
	KindBadDrill = "drill_failed"
	KindLoop     = "loop_began"
	KindNoLoop   = "loop_ended"
)

// Meaning is what a kind of event means to whoever reads of it. The journal's catalogue and docs/reference/events.md are
// made from the table below, so they cannot disagree with what is told.
type Meaning struct {
	Name   string // of the meaning, in snake_case; the kind's own where that has one meaning
	Kind   string
	Part   string // what is found in the event, in the part of it that tells the kind's meanings apart; empty: the kind's plain meaning
	ID     string // MESSAGE_ID of the journal: 32 hexadecimal digits, never used for anything else
	Level  string // how much it matters, as a rule
	Title  string
	Text   string
	Remedy string
}

// Meanings are all of them. Of those of one kind, the one whose part is found wins.
var Meanings = []Meaning{
	{
		"became_active", "segment_active", "", "0f4dacc74ea64a3e9cef3342eda7fc1c", Info,
		"A gateway became active",
		"The gateway that is named opened its gate under the tenure that is named: it bridges the segment now. The reason is the chain of what led to it, the last link first.",
		"Nothing, if it was planned. Otherwise the reason says what became of the gateway before.",
	},
	{
		"no_active_gateway", "segment_inactive", "", "589f4195e9594648a488b136b7a26296", Warn,
		"A segment has no active gateway",
		"No gate of the segment is open. Stations on the VLAN and those on the mesh do not reach each other.",
		"Another gateway opens its gate within the term of the lease when a majority of the voters answers. If it stays so: drawbridge segments says what each gateway waits for.",
	},
	{
		"gate_opened", "gate_open", "", "35909e9eb1c1472099f38d869aac138b", Info,
		"The gate of this peer opened",
		"Frames cross between the VLAN and the mesh at this peer.",
		"Nothing.",
	},
	{
		"gate_fenced", "gate_shut", "later tenure elsewhere", "09555c31c5a54502a32e188e06353d91", Warn,
		"The gate of this peer was fenced",
		"Another gateway has a later tenure of the segment, and this one shut its gate as soon as it heard of it.",
		"Look why this peer had not heard of the end of its own tenure: its links (drawbridge peers), its load, its clock.",
	},
	{
		"lease_lost", "gate_shut", "without a majority", "f072d216f13e46b4a4e6935b3b335dea", Warn,
		"The lease of this peer ended without a majority",
		"The gate shut by the clock, because no majority of the voters answered in time. The reason names the voters that were silent.",
		"Mend the way to the voters that are named. The segment moved to another gateway if one had a majority.",
	},
	{
		"gate_shut", "gate_shut", "", "093778dc1c01425ea6bb8a9fb824c553", Info,
		"The gate of this peer shut",
		"No frames cross between the VLAN and the mesh at this peer. The reason is the chain of what led to it.",
		"Nothing, if it was planned.",
	},
	{
		"loop_found", "alone", "", "1d50b7be5bdd403d8a13496f334502a2", Warn,
		"A loop or a wrong cable was found",
		"A port heard frames that may not be there: its own, those of another port of this network, or of another network. It was blocked or its gate shut, before frames could circle.",
		"The reason and the text say which two ports are on one wire. Take the wrong cable or bridge away; the port opens by itself.",
	},
	{
		"loop_began", "loop_began", "", "9ea454af15f3419e9447f1db64403929", Warn,
		"Frames go round",
		"Frames come in where they cannot have come from, as their station spoke elsewhere just before, and go on coming. Each copy is dropped. The text says which two places something beside this network joins.",
		"Look for a cable between the two, a guest that bridges two interfaces, or a second gateway that is not of this network. drawbridge loops shows which frames.",
	},
	{
		"loop_ended", "loop_ended", "", "7974ad7b373b421f97436efaef20d772", Info,
		"Frames no longer go round",
		"For half a minute no frame came round between the two places that the text names.",
		"Nothing, if somebody took the cable or bridge away. Otherwise it may come back: find out what joined the two.",
	},
	{
		"switchover_done", "switchover_done", "", "db17d390738a4d5997190fffbf8d753f", Info,
		"A switchover was done",
		"A segment was moved to another gateway on purpose. The text says how long frames were held, or were lost where the kernel carries the overlay.",
		"Nothing.",
	},
	{
		"switchover_failed", "switchover_failed", "", "8feda837aec3451891cd95603003515d", Error,
		"A switchover failed",
		"A segment was to be moved to another gateway on purpose, and that did not succeed.",
		"The text says why. drawbridge switchover SEGMENT --dry-run looks at every condition again.",
	},
	{
		"drill_done", "drill_done", "", "e86c65dd8c574ed595a43874ed5fad2d", Info,
		"A drill on schedule succeeded",
		"The active gateway moved its segment to another one and back, and nothing was lost, doubled or out of order; of an overlay that the kernel carries, nothing but what came while no gate was open.",
		"Nothing. drawbridge drill list shows what was measured.",
	},
	{
		"drill_skipped", "drill_skipped", "", "f5202c8bf01e40a6a4f9bd012422d98d", Warn,
		"A drill on schedule was skipped",
		"Its time had come and not all was well, so nothing was moved. The reason says what.",
		"A segment that cannot be moved on purpose may not survive its gateway: drawbridge switchover SEGMENT --dry-run shows every check.",
	},
	{
		"drill_failed", "drill_failed", "", "9e57b4eee95f4f4f98440e6b0679c13f", Error,
		"A drill on schedule failed",
		"A move there or back did not succeed, or frames were lost, doubled or out of order. The text says which.",
		"drawbridge drill list shows both ways; drawbridge drill SEGMENT repeats it.",
	},
	{
		"users_shared", "users_shared", "", "0e0a45d12edb4716a4ae741ecbf37345", Warn,
		"Users of the network changed by themselves",
		"Users that this peer alone had were added to those of all peers, or those of the network cannot be taken over here. The text says which.",
		"drawbridge users list shows everybody who can log in: remove who should not.",
	},
	{
		"config_applied", "config_applied", "", "868353ad84e243f788b28f2b2c0f68a3", Info,
		"A configuration is in force",
		"This peer goes by the version of the network configuration that is named.",
		"Nothing.",
	},
	{
		"engine_changed", "engine_changed", "", "5e6dd5a6b0a84f3f8a2f0c4be1e39d27", Info,
		"An overlay has another engine",
		"User space or the kernel carries an overlay at this peer now, or user space does and the kernel delivers as well, while all peers change from one to the other.",
		"Nothing. drawbridge status says why the kernel does not carry an overlay that it should.",
	},
	{
		"config_refused", "config_refused", "", "9c1d9320511245dca91ef7c9182e34e4", Error,
		"A configuration cannot be applied here",
		"This peer cannot go by the newest version of the network configuration, and keeps the last good one. The reason names the setting.",
		"Correct the setting, or the node file of this peer: the two contradict each other.",
	},
	{
		"config_changed", "config_changed", "", "0d6f6f638ba44eaaa6d05f9ba254433b", Info,
		"The configuration was changed",
		"Somebody changed the network configuration by way of this peer.",
		"Nothing.",
	},
	{
		"config_reverted", "config_reverted", "", "83a2052635d04e9d91901e04f1293f36", Warn,
		"A configuration was reverted",
		"Nobody confirmed a version of the network configuration in time, so the one before it is in force again.",
		"If the change was good, apply it again and confirm it: drawbridge config confirm.",
	},
	{
		"port_failed", "port_down", "", "e7cebac1b43542e89b1c791876e3d4c9", Error,
		"A port does not work",
		"The interface behind a port is not there, or cannot be used.",
		"Correct the interface, or the node file.",
	},
	{
		"port_works", "port_up", "", "3b12b47ccc774e67b53ad2f4dcbfecae", Info,
		"A port works",
		"The interface behind a port is there and carries frames.",
		"Nothing.",
	},
	{
		"carrier_lost", "carrier_lost", "", "d39b40faa783466994aa76f5ea7ce7a0", Warn,
		"A port lost its carrier",
		"The cable, or the port of the switch at its other end, is down. A gateway gives the segment up at once.",
		"Look at the cable and the switch.",
	},
	{
		"left_to_better", "left_to_better", "", "621d7ec21f3db84d1c9abe04d0890f96", Warn,
		"A segment was left to another gateway",
		"The port of the active gateway does not send or hear the segment, and the other one's does. It gave the segment up by itself, and asks for it last for a while.",
		"Look at the switch port and the VLAN of the gateway that left it, and at the way from there to the other one.",
	},
	{
		"wire_one_way", "wire_one_way", "", "6f2a519916a8e28eef836449b3c3d822", Warn,
		"Gateways do not hear each other both ways",
		"Two gateways of a segment are on one network, and what one of them sends on the segment does not arrive at the other. The text says whose port is to blame, as far as other stations show it.",
		"Look at the VLAN of both switch ports, and at the switches between them.",
	},
	{
		"carrier_back", "carrier_up", "", "5305769b50d54e6b96e01036f2618755", Info,
		"A port has a carrier",
		"The cable works again.",
		"Nothing.",
	},
	{
		"peer_unreachable", "peer_unreachable", "", "22ba84da01794970821cc5f09f01b5fc", Warn,
		"A peer is unreachable",
		"No links lead to a peer of the network.",
		"See whether it runs, and whether TCP and UDP reach it.",
	},
	{
		"peer_direct", "peer_direct", "", "fc67e0c2cdee443e8b3b2d518b52103e", Info,
		"A peer is reached directly",
		"Frames go straight to the peer.",
		"Nothing.",
	},
	{
		"peer_relayed", "peer_relayed", "", "789dc5539d8546ecb815296813f49e71", Info,
		"A peer is reached through others",
		"Frames to the peer go through other peers, as no link of our own leads there.",
		"Let UDP pass between the two, if they should reach each other directly.",
	},
	{
		"peer_left", "peer_left", "", "624bf0d501b340b2b48c9064956eaaab", Info,
		"A peer has left",
		"A peer said goodbye: its daemon was stopped in order.",
		"Nothing.",
	},
	{
		"peer_dead", "member_dead", "", "9e88be6e94d54c6e8669ab6ddd2fbcbf", Warn,
		"A peer is dead",
		"The others agree that a peer does not answer any more.",
		"See whether its host runs.",
	},
	{
		"peer_suspect", "member_suspect", "", "969fd44e79794deb8ddb2f5719978497", Warn,
		"A peer is suspected",
		"A peer did not answer the last questions of the others.",
		"Nothing yet: it answers again, or is called dead within seconds.",
	},
	{
		"peer_alive", "member_alive", "", "8400a0efefc64ab7a864ba2e94d2ca01", Info,
		"A peer is alive",
		"A peer answers.",
		"Nothing.",
	},
	{
		"peer_gone", "member_left", "", "87fbbe57f5c145d780cb6988e39f51ac", Info,
		"A peer is gone",
		"A peer left the list of members in order.",
		"Nothing.",
	},
	{
		"link_down", "link_down", "", "129f9b872dd7427dab6b5270cc18082c", Warn,
		"A link is down",
		"The control connection to an adjacent peer ended.",
		"Frames take another way if there is one; the text says why it ended.",
	},
	{
		"link_up", "link_up", "", "2eabaa4d1d1e426db1002bc12d3f58f8", Info,
		"A link is up",
		"There is a control connection to an adjacent peer.",
		"Nothing.",
	},
	{
		"clone", "clone", "", "6c790e98bc9f49c4a9ca95a5491012e0", Error,
		"A second host runs with the identity of a peer",
		"Two hosts have the same key: a state directory was copied, or a virtual machine cloned.",
		"Stop the copy, remove its state directory and let it join anew.",
	},
	{
		"peer_admitted", "join", "", "155711a9b3fc4473bba0d1a73d7a262d", Info,
		"A peer was admitted",
		"A host joined the network by an invitation.",
		"If nobody invited it: drawbridge peers forget NAME, and look who made the token.",
	},
	{
		"peer_removed", "forget", "", "b1291409e4c744ac95e3798866b1ada3", Warn,
		"A peer was removed",
		"Somebody removed a peer for good; its certificate is revoked.",
		"Nothing.",
	},
	{
		"token_created", "token_created", "", "6a94a0469cdb4346bfff787ebe1067cf", Info,
		"An invitation was made",
		"Somebody made a token by which hosts can join the network.",
		"Nothing.",
	},
	{
		"console_failed", "console_failed", "", "9d5c124ffb4a41feaa4062f7f62ec520", Error,
		"The console cannot be reached",
		"The listener for browsers did not start or ended. The unix socket works on.",
		"The text says why: often another program has the port.",
	},
	{
		"started", "started", "", "999a2ccd14fb4df6a52c1eac7b5ea020", Info,
		"A peer started",
		"The daemon of a peer started.",
		"Nothing, if it was restarted on purpose.",
	},
	{
		"node_file_read", "node_file_read", "", "4a58a94afe9c45d4a8b6cb4a2a2e14c7", Info,
		"A node file was read again",
		"A peer was told to read its node file again. The text names the keys that were changed: those that are in force, and those that take effect at the next start.",
		"Nothing, or drawbridge restart when it suits.",
	},
	{
		"factory_reset", "factory_reset", "", "5b0e3c6f0d9f4f64a1b8f5c3d27a9e41", Warn,
		"An appliance is reset",
		"Somebody had a peer forget everything: it hands its segments over, the others remove it, and the machine starts anew.",
		"Nothing, if it was meant. What the others could not do: drawbridge peers forget and its name, on one of them.",
	},
	{
		"node_file_refused", "node_file_refused", "", "c0b77d1e1c4f4d0b8a2f0b6f5f6ad3e9", Error,
		"A node file was not taken",
		"A peer was told to read its node file again, and it has an error. Everything goes on as before, but the peer would not start with it.",
		"Correct the lines that the text names, and reload again: systemctl reload drawbridge.",
	},
	{
		"address_conflict", "address_conflict", "", "51b9643b15d4495e921b3e0682fcea42", Error,
		"An address is used twice",
		"A station on the VLAN uses an address that was given to another.",
		"The text says who: change the address of one of them.",
	},
	{
		"address_space_broken", "address_broken", "", "d38e48e34c9741e3aae5bc81fee4bcdd", Error,
		"The address space is broken",
		"This peer gives no addresses any more.",
		"The text says why.",
	},
	{
		"address_forged", "address_forged", "", "5e2d5691369d4271bc796413429f90a9", Error,
		"A peer speaks for another about addresses",
		"What it said was refused.",
		"See what software runs there.",
	},
	{
		"address_fenced", "address_fenced", "", "95c7ee6c30484eafa1a3b74a43402af2", Error,
		"This peer may not give addresses",
		"The others removed it and gave its part of the address space to another.",
		"It asks for a new part by itself when it is reached again.",
	},
	{
		"address_lapsed", "address_lapsed", "", "76ac03543ef241fba244a4a56a8c3cd4", Error,
		"This peer stopped giving addresses",
		"It has not heard of the decisions about the address space for too long.",
		"Mend the way to the voters.",
	},
	{
		"address_renumbered", "address_renumbered", "", "cf6b9ba4c0504bd8990d2974c337530f", Warn,
		"A station loses its address",
		"It gets another one when it asks next.",
		"Nothing.",
	},
	{
		"address_foreign", "address_foreign", "", "106209af2cab49bcbe47b77de540d8be", Warn,
		"An address is used that was not given",
		"A station on the VLAN uses a free address of ours. It is not given to anybody.",
		"Reserve the address in the subnet, if the station should keep it.",
	},
	{
		"condition_began", "alert_raised", "", "38abd342f4424c1c885ebd6b89314269", Warn,
		"Something is wrong",
		"A condition began that an operator should know of. The text says which, the reason what to do.",
		"drawbridge alerts lists what is wrong just now.",
	},
	{
		"condition_ended", "alert_cleared", "", "6b3b71bfc9e74322b71d64d8ec2da038", Info,
		"Something is well again",
		"A condition ended.",
		"Nothing.",
	},
	{
		"disk_full", "alert_raised", "disk_nearly_full", "ce41f1ba65f2454d82c6af1d9107bb37", Error,
		"The disk is nearly full",
		"The file system of the state directory has hardly any room. The queues of alerts, the audit log and the decisions of a voter are kept there.",
		"Make room in the file system that is named.",
	},
	{
		"alerts_dropped", "alerts_dropped", "", "7233a709aeb24862990beb8d06218dd9", Error,
		"Events were not told",
		"The queue of a sink was full, or the sink did not take an event. What is missing is counted, in its place in the order.",
		"Mend the way to the sink: drawbridge alerts sinks shows its last error.",
	},
	{
		"alerts_missed", "alerts_missed", "", "98e3d8b745354c2284866e622932b91c", Error,
		"Events were not queued",
		"So much happened at once that events fell out of the journal before they were in the queues.",
		"The timeline of the other peers has what they saw.",
	},
	{
		"test", "test", "", "002c3d7a358f4a8783d91a5d8174ea1c", Info,
		"A test",
		"Somebody tests whether a sink is reached.",
		"Nothing.",
	},
}

// apart is the part of an event that tells the meanings of its kind apart: its name, and what it says.
func (e *Event) apart() (name, text string) {
	if e.Kind == KindRaised {
		return "alert", e.Alert
	}
	return "reason", e.Reason
}

// MeaningOf finds what an event means; nothing for a kind that the table does not have.
func MeaningOf(e *Event) (Meaning, bool) {
	_, text := e.apart()
	var found Meaning
	for _, m := range Meanings {
		if m.Kind == e.Kind && (m.Part != "" && strings.Contains(text, m.Part) || m.Part == "" && found.Kind == "") {
			found = m
		}
	}
	return found, found.Kind != ""
}

// Wanted reports whether a sink with these patterns of kinds and this least level is told of an event. No patterns are
// all. That something was dropped from a sink's own queue it is told without being asked.
func Wanted(e *Event, patterns []string, least string) bool {
	if !AtLeast(e.Level, least) {
		return false
	}
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if ok, err := path.Match(p, e.Kind); err == nil && ok {
			return true
		}
	}
	return false
}

// Unheard lists the patterns that no kind of event fits: somebody mistyped them.
func Unheard(patterns []string) (unheard []string) {
	for _, p := range patterns {
		heard := false
		for _, m := range Meanings {
			ok, err := path.Match(p, m.Kind)
			heard = heard || err == nil && ok
		}
		if !heard {
			unheard = append(unheard, p)
		}
	}
	return unheard
}
