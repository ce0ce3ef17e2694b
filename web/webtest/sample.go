package webtest

import (
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

func ago(d time.Duration) time.Time { return Now.Add(-d) }

// sample is gateway a of a network of five peers: b is passive, w is a witness, x is behind NAT and reached by
// TCP, y is reached through x, z has gone.
func sample() Values {
	active := "a"
	return Values{
		Moves:   sampleMoves(),
		Slots:   sampleSlots(),
		Alerts:  sampleAlerts(),
		Version: web.Version{Version: "1.2.3", Go: "go1.26.0", OS: "linux/amd64", Kernel: "6.12.0"},
		Status: web.Status{
			Name: "a", ID: "0a0b0c0d", UID: "00112233aabbccdd", Roles: []string{"voter", "gateway"},
			Network: web.Network{Name: "home", ID: "000102030405060708090a0b0c0d0e0f"},
			Version: "1.2.3", Started: ago(76 * time.Hour), UptimeS: (76 * time.Hour).Seconds(),
			Listen: []string{"0.0.0.0:6630"}, Advertise: []string{"192.0.2.1:6630"},
			DataPath: web.DataPath{Engine: "user", GSO: true, GRO: true, Vnet: true, Gate: web.GateHard, Cipher: "aes-128-gcm", Notes: []string{}, Overlays: []web.OverlayPath{
				{Overlay: "office", VNI: 1, Wanted: "auto", Engine: web.EngineMixed, Reason: "b: port eth1 has a soft gate", Peers: []web.PeerEngine{
					{Peer: "b", Engine: web.EngineUser, Reason: "port eth1 has a soft gate"}, {Peer: "w", Engine: web.EngineKernel},
				}},
				{Overlay: "lab", VNI: 7, Wanted: "kernel", Engine: web.EngineKernel, Peers: []web.PeerEngine{{Peer: "b", Engine: web.EngineKernel}, {Peer: "w", Engine: web.EngineKernel}}},
			}},
			MTU: 1400, Peers: web.PeerCount{Total: 5, Direct: 3, Relayed: 1, Unreachable: 1}, MACs: 3,
			Drops: map[string]uint64{"echo": 3, "no_route": 1204}, Ready: true,
			Problems: []web.Problem{{Summary: "peer z is unreachable", Remedy: "start it, or remove it with drawbridge peers forget z"}},
		},
		Peers: []web.Peer{
			{Name: "a", ID: "0a0b0c0d", UID: "00112233aabbccdd", State: web.PeerSelf, Membership: "alive", Since: ago(76 * time.Hour), MTU: 1400, Roles: []string{"voter", "gateway"}, Segments: []string{"office"}, Software: "1.2.3", Version: 17, Endpoints: []string{"192.0.2.1:6630"}},
			{
				Name: "b", ID: "0b0b0c0d", State: web.PeerDirect, Membership: "alive", Since: ago(75 * time.Hour), Path: "udp", Remote: "192.0.2.2:6630", RTT: 0.42, Jitter: 0.05, MTU: 1400, Roles: []string{"voter", "gateway"}, Segments: []string{"office"}, Software: "1.2.3", Version: 12, Endpoints: []string{"192.0.2.2:6630"},
				Traffic: web.Traffic{RxFrames: 1200, RxBytes: 1_300_000, TxFrames: 90, TxBytes: 8000},
			},
			{Name: "w", ID: "0c0b0c0d", State: web.PeerDirect, Membership: "alive", Since: ago(30 * time.Minute), Path: "udp", Remote: "192.0.2.3:6630", RTT: 12.3, Jitter: 1.5, Loss: 0.02, MTU: 1400, Roles: []string{"voter"}, Segments: []string{}, Software: "1.2.2", Version: 4, Endpoints: []string{"192.0.2.3:6630"}},
			{Name: "x", ID: "0d0b0c0d", State: web.PeerDirect, Membership: "alive", Since: ago(40 * time.Second), Path: "tcp", Remote: "198.51.100.9:50122", RTT: 25, Jitter: 4, MTU: 1400, Roles: []string{"peer"}, Segments: []string{}, Software: "1.2.3", Version: 3, Endpoints: []string{}},
			{Name: "y", ID: "0e0b0c0d", State: web.PeerRelayed, Membership: "alive", Since: ago(39 * time.Second), Via: "x", RTT: 31, MTU: 1380, Roles: []string{"peer"}, Segments: []string{}, Software: "1.2.3", Version: 3, Endpoints: []string{}},
			{Name: "z", ID: "0f0b0c0d", State: web.PeerUnreachable, Membership: "dead", Since: ago(3 * time.Minute), Roles: []string{"peer"}, Segments: []string{}, Software: "1.2.3", Version: 9, Endpoints: []string{}},
		},
		Links: []web.Link{
			{Peer: "b", Up: true, Path: "udp", Remote: "192.0.2.2:6630", Dialled: true, Since: ago(75 * time.Hour), RTT: 0.42, Jitter: 0.05, MTU: 1400, GSO: true, GRO: true, KeyAgeS: 12, Problems: []web.Problem{}, Traffic: web.Traffic{RxFrames: 1200, RxBytes: 1_300_000, TxFrames: 90, TxBytes: 8000}},
			{Peer: "x", Up: true, Path: "tcp", Remote: "198.51.100.9:50122", Since: ago(40 * time.Second), RTT: 25, Jitter: 4, MTU: 1400, KeyAgeS: 40, Problems: []web.Problem{{Summary: "UDP is blocked", Remedy: "let UDP port 6630 through"}}},
		},
		Loops: web.Loops{
			Circling: true, Remedy: "something beside this network joins port tap0 and segment office: look for a cable between them",
			Circles: []web.Circle{{
				Source: "52:54:00:00:00:02", Destination: "ff:ff:ff:ff:ff:ff", Type: "0806", VNI: 1, Heard: web.LoopEnd{At: web.AtPort, Port: "tap0", Peer: "a"},
				Known: web.LoopEnd{At: web.AtSegment, Port: "eth1.42", Peer: "a", Segment: "office"}, Loop: true, Circling: true, Count: 4210, PerSecond: 70.1, Since: ago(time.Minute), Last: Now,
			}},
			Elsewhere: []web.PeerLoops{
				{Peer: "b", AgeS: 2.5, Circling: true, Circles: []web.Circle{{
					Source: "52:54:00:00:00:02", Destination: "ff:ff:ff:ff:ff:ff", Type: "0806", VNI: 1, Heard: web.LoopEnd{At: web.AtSegment, Port: "eth1.42", Peer: "b", Segment: "office"},
					Known: web.LoopEnd{At: web.AtPeer, Peer: "a"}, Loop: true, Circling: true, Count: 70, PerSecond: 70, Since: ago(time.Second), Last: Now,
				}}},
				{Peer: "x", AgeS: 400, Silent: true, Circles: []web.Circle{}},
				{Peer: "y", AgeS: 12, Circles: []web.Circle{}},
				{Peer: "z", Silent: true, Circles: []web.Circle{}},
			},
		},
		Voters: web.Voters{
			Here: true, Leader: "a", Generation: 3, Quorum: true,
			Voters: []web.Voter{
				{Name: "a", Gateway: true, State: web.VoterVotes, Address: "192.0.2.1:6630", Answers: true},
				{Name: "b", Gateway: true, State: web.VoterVotes, Address: "192.0.2.2:6630", Answers: true, RTT: 0.4},
				{Name: "w", State: web.VoterVotes, Address: "198.51.100.3:6630", SilentS: 75},
			},
		},
		Routes: web.Routes{
			Unicast: []web.Route{
				{Peer: "b", Via: "b", Hops: []string{"b"}, Metric: 0.42, MTU: 1400},
				{Peer: "y", Via: "x", Hops: []string{"x", "y"}, Metric: 31, MTU: 1380},
				{Peer: "z"},
			},
			Broadcast: []web.Tree{{Origin: "a", Children: []string{"b", "w", "x"}}, {Origin: "y", Children: []string{}}},
		},
		MACs: []web.MAC{
			{MAC: "02:00:00:00:00:01", VNI: 1, At: web.AtSegment, Segment: "office", Peer: "a", Port: "eth1.42", Learned: ago(75 * time.Hour), Seen: ago(3 * time.Second)},
			{MAC: "02:00:00:00:00:02", VNI: 1, At: web.AtPort, Port: "tap0", Learned: ago(time.Hour), Seen: ago(200 * time.Millisecond)},
			{MAC: "02:00:00:00:00:03", VNI: 1, At: web.AtPeer, Peer: "y", Learned: ago(30 * time.Second), Seen: ago(30 * time.Second)},
		},
		Ports: []web.Port{
			{
				Name: "eth1.42", Kind: web.PortSegment, Interface: "eth1", VLAN: 42, VNI: 1, Segment: "office", Mode: "auto", Up: true, Gate: web.GateOpen, GateKind: web.GateHard, Epoch: "3.7", Since: ago(2 * time.Hour), MTU: 1500, Vnet: true, MACs: 1,
				Drops: map[string]uint64{"split_horizon": 4}, Problems: []web.Problem{}, Traffic: web.Traffic{RxFrames: 5_000_000, RxBytes: 7_100_000_000, TxFrames: 400, TxBytes: 30_000},
			},
			{Name: "tap0", Kind: web.PortGuest, Interface: "tap0", VNI: 1, Bridge: "br0", Gate: web.GateNone, GateKind: web.GateNone, Since: ago(time.Hour), MTU: 1400, MACs: 1, Drops: map[string]uint64{}, Problems: []web.Problem{{Summary: "bridge br0 does not exist", Remedy: "make it, or leave bridge out of the node file"}}},
		},
		Segments: []web.Segment{
			{Name: "lab", Overlay: "2", VNI: 2, Since: ago(10 * time.Second), Cause: "b in maintenance", Epoch: "1.2", Gateways: []web.Gateway{{Peer: "b", Gate: web.GateShut, Reasons: []string{"maintenance"}, Mode: "auto"}}},
			{Name: "office", Overlay: "1", VNI: 1, Active: &active, Since: ago(2 * time.Hour), Cause: "switchover from b", Epoch: "3.7", Gateways: []web.Gateway{
				{Peer: "a", Gate: web.GateOpen, Ready: true, Reasons: []string{}, Mode: "auto"},
				{Peer: "b", Gate: web.GateShut, Ready: true, Reasons: []string{}, Mode: "auto"},
			}},
		},
		Tokens: []web.Token{
			{ID: "0102030405", Roles: []string{"voter", "gateway"}, Created: ago(time.Minute), CreatedBy: "root", Expires: Now.Add(59 * time.Minute), Uses: 1, Left: 1, State: "valid"},
			{ID: "0203040506", Roles: []string{"peer"}, Created: ago(48 * time.Hour), CreatedBy: "root", Expires: ago(47 * time.Hour), Uses: 3, Left: 1, State: "expired"},
		},
		Ready:    web.Readiness{Ready: true, Reasons: []string{}},
		Bundle:   []byte("\x1f\x8b a bundle"),
		Rollouts: []web.Rollout{Rolled},
		Capture:  []byte("\x0a\x0d\x0d\x0a a capture"),
	}
}
