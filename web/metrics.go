package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics answers in the Prometheus text format. Everything is read from the node when it is asked for;
// nothing is counted twice.
func metrics(node Node) http.Handler {
	return promhttp.HandlerFor(registry(node), promhttp.HandlerOpts{})
}

func registry(node Node) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(meter{node}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// series is the description of one metric and how it counts.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

var catalogue []*prometheus.Desc

func metric(kind prometheus.ValueType, name, help string, labels ...string) series {
	d := prometheus.NewDesc("drawbridge_"+name, help, labels, nil)
	catalogue = append(catalogue, d)
	return series{d, kind}
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// The metrics. Names follow Prometheus: base units, _total for counters.
var (
	mInfo     = metric(gauge, "info", "Always 1; the labels say who this is.", "version", "peer", "network")
	mStart    = metric(gauge, "start_time_seconds", "When this run began, Unix time.")
	mReady    = metric(gauge, "ready", "1 when the peer does everything that its node file asks for.")
	mProblems = metric(gauge, "problems", "How many problems an operator should look at.")
	mDrops    = metric(counter, "dropped_frames_total", "Frames dropped, by reason.", "reason")

	mPeers     = metric(gauge, "peers", "Other peers, by state.", "state")
	mReachable = metric(gauge, "peer_reachable", "1 when frames reach the peer, directly or relayed.", "peer")

	mLinkUp     = metric(gauge, "link_up", "1 when the link carries frames.", "peer", "path")
	mLinkRTT    = metric(gauge, "link_rtt_seconds", "Round trip, smoothed.", "peer")
	mLinkJitter = metric(gauge, "link_jitter_seconds", "Difference of successive round trips, smoothed.", "peer")
	mLinkLoss   = metric(gauge, "link_loss_ratio", "Share of heartbeats of the last seconds that were lost.", "peer")
	mLinkMTU    = metric(gauge, "link_mtu_bytes", "Largest IP packet that crosses in one datagram.", "peer")
	mLinkFrames = metric(counter, "link_frames_total", "Frames over the link.", "peer", "direction")
	mLinkBytes  = metric(counter, "link_bytes_total", "Bytes over the link.", "peer", "direction")

	mPortUp     = metric(gauge, "port_up", "1 when the interface is there and has carrier.", "port", "kind")
	mPortGate   = metric(gauge, "port_gate_open", "1 when the gate of a segment port is open.", "port", "segment")
	mPortFrames = metric(counter, "port_frames_total", "Frames at the port; rx: from the wire.", "port", "direction")
	mPortBytes  = metric(counter, "port_bytes_total", "Bytes at the port; rx: from the wire.", "port", "direction")
	mPortDrops  = metric(counter, "port_dropped_frames_total", "Frames dropped at the port, by reason.", "port", "reason")

	mActive = metric(gauge, "segment_gateway_active", "1 for the gateway of the segment whose gate is open.", "segment", "peer")
	mAble   = metric(gauge, "segment_gateway_ready", "1 when the gateway could take over now.", "segment", "peer")
	mSince  = metric(gauge, "segment_since_seconds", "When the segment last changed hands, Unix time.", "segment")

	mCircling = metric(gauge, "loop_circling", "1 while frames go round as far as this peer hears: each copy is among the dropped frames of reason echo.")

	mMACs = metric(gauge, "mac_addresses", "Known MAC addresses, by where they are.", "at")
)

// meter reads a node for Prometheus.
type meter struct{ node Node }

// Describe implements prometheus.Collector.
func (m meter) Describe(out chan<- *prometheus.Desc) {
	for _, d := range catalogue {
		out <- d
	}
}

// gathering collects samples of one reading.
type gathering struct{ out chan<- prometheus.Metric }

func (g gathering) put(s series, value float64, labels ...string) {
	g.out <- prometheus.MustNewConstMetric(s.desc, s.kind, value, labels...)
}

func (g gathering) flag(s series, on bool, labels ...string) {
	value := 0.0
	if on {
		value = 1
	}
	g.put(s, value, labels...)
}

func (g gathering) traffic(frames, octets series, t Traffic, name string) {
	g.put(frames, float64(t.RxFrames), name, "rx")
	g.put(frames, float64(t.TxFrames), name, "tx")
	g.put(octets, float64(t.RxBytes), name, "rx")
	g.put(octets, float64(t.TxBytes), name, "tx")
}

// Collect implements prometheus.Collector.
func (m meter) Collect(out chan<- prometheus.Metric) {
	g := gathering{out}
	g.status(m.node.Status())
	g.addresses(m.node)
	for _, p := range m.node.Peers() {
		if p.State != PeerSelf {
			g.flag(mReachable, p.State == PeerDirect || p.State == PeerRelayed, p.Name)
		}
	}
	for _, l := range m.node.Links() {
		g.link(l)
	}
	for _, p := range m.node.Ports() {
		g.port(p)
	}
	for _, s := range m.node.Segments() {
		g.segment(s)
	}
	g.flag(mCircling, m.node.Loops().Circling)
	g.alerts(m.node)
	at := map[string]int{AtPort: 0, AtPeer: 0, AtSegment: 0}
	for _, mac := range m.node.MACs(MACFilter{}) {
		at[mac.At]++
	}
	for place, n := range at {
		g.put(mMACs, float64(n), place)
	}
}

func (g gathering) status(s Status) {
	g.put(mInfo, 1, s.Version, s.Name, s.Network.Name)
	g.put(mStart, float64(s.Started.UnixMilli())/1000)
	g.flag(mReady, s.Ready)
	g.put(mProblems, float64(len(s.Problems)))
	for reason, n := range s.Drops {
		g.put(mDrops, float64(n), reason)
	}
	g.put(mPeers, float64(s.Peers.Direct), PeerDirect)
	g.put(mPeers, float64(s.Peers.Relayed), PeerRelayed)
	g.put(mPeers, float64(s.Peers.Unreachable), PeerUnreachable)
}

func (g gathering) link(l Link) {
	g.flag(mLinkUp, l.Up, l.Peer, l.Path)
	g.put(mLinkRTT, l.RTT.Duration().Seconds(), l.Peer)
	g.put(mLinkJitter, l.Jitter.Duration().Seconds(), l.Peer)
	g.put(mLinkLoss, l.Loss, l.Peer)
	g.put(mLinkMTU, float64(l.MTU), l.Peer)
	g.traffic(mLinkFrames, mLinkBytes, l.Traffic, l.Peer)
}

func (g gathering) port(p Port) {
	g.flag(mPortUp, p.Up, p.Name, p.Kind)
	if p.Kind == PortSegment {
		g.flag(mPortGate, p.Gate == GateOpen, p.Name, p.Segment)
	}
	g.traffic(mPortFrames, mPortBytes, p.Traffic, p.Name)
	for reason, n := range p.Drops {
		g.put(mPortDrops, float64(n), p.Name, reason)
	}
}

func (g gathering) segment(s Segment) {
	for _, gw := range s.Gateways {
		g.flag(mActive, s.Active != nil && *s.Active == gw.Peer, s.Name, gw.Peer)
		g.flag(mAble, gw.Ready, s.Name, gw.Peer)
	}
	g.put(mSince, float64(s.Since.UnixMilli())/1000, s.Name)
}
