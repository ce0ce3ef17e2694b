// Package doctor looks at a host and says what stands in the way of a peer on it, and what to do. Judge is pure: it
// reads facts, which Gather collects, so that every verdict can be tried without a host that has the disease.
package doctor

import (
	"cmp"
	"slices"
)

// States of a result. Only Wrong makes the doctor's exit status 1: advice is about speed and comfort, and what could
// not be looked at is not known to be wrong.
const (
	OK      = "ok"
	Advice  = "advice"
	Wrong   = "wrong"
	Unknown = "unknown"
)

// Result is what one check found about one thing.
type Result struct {
	Check   string `json:"check" doc:"Stable name of the check"`
	Subject string `json:"subject,omitempty" doc:"What it is about: an interface, an address, a directory"`
	State   string `json:"state" enum:"ok,advice,wrong,unknown" doc:"wrong: the peer cannot do its work; advice: it could do it better; unknown: could not be looked at"`
	Found   string `json:"found" doc:"What was found"`
	Remedy  string `json:"remedy,omitempty" doc:"What to do about it"`
}

// Report is everything that was found, and what it was judged by.
type Report struct {
	OK      bool     `json:"ok"`
	Results []Result `json:"results"`
	Facts   *Facts   `json:"facts,omitempty"`
}

// Check is one question that the doctor asks.
type Check struct {
	Name  string
	About string // what it asks, for docs/how-to/troubleshoot.md
	judge func(*Facts) []Result
}

// Checks are all of them, in the order in which a peer needs their answers.
var Checks = []Check{
	{"node-file", "the node file can be read and says what this peer does", judgeNodeFile},
	{"interface", "each port's interface exists, is up and has a carrier", judgeInterfaces},
	{"bridge", "no kernel bridge holds both ends of a gateway", judgeBridges},
	{"offload", "no card joins frames that the forwarder cannot take apart again (LRO, GRO in hardware)", judgeOffloads},
	{"mtu", "frames cross the mesh whole", judgeMTU},
	{"stp", "the switch port forwards at once", judgeSTP},
	{"twin", "nobody else uses the MAC address of a port", judgeTwins},
	{"managed", "NetworkManager and systemd-networkd leave the ports alone", judgeManagers},
	{"clock", "the clock is set, and runs as fast as other peers'", judgeClock},
	{"kernel", "the kernel has what the gate and the data path want", judgeKernel},
	{"realtime", "the lease agent gets real-time priority, and timers that keep their time", judgeRealtime},
	{"buffers", "the sockets of the mesh hold a burst", judgeBuffers},
	{"udp-port", "the mesh's port is ours and reachable", judgePorts},
	{"firewall", "the host's firewall lets the mesh's port in", judgeFirewall},
	{"disk", "the state directory has room, and syncs soon enough for a voter", judgeDisk},
	{"daemon", "the daemon runs and has no complaint", judgeDaemon},
	{"leftovers", "no former run left something behind", judgeLeftovers},
}

// Judge asks every check. Each answers at least once.
func Judge(f *Facts) Report {
	r := Report{OK: true, Facts: f}
	for _, c := range Checks {
		results := c.judge(f)
		if len(results) == 0 {
			results = []Result{fine("", "nothing to look at")}
		}
		for _, x := range results {
			x.Check = c.Name
			r.Results = append(r.Results, x)
			r.OK = r.OK && x.State != Wrong
		}
	}
	return r
}

// Worst orders results for people: what is wrong first.
func Worst(all []Result) []Result {
	rank := map[string]int{Wrong: 0, Unknown: 1, Advice: 2, OK: 3}
	return slices.SortedStableFunc(slices.Values(all), func(a, b Result) int { return cmp.Compare(rank[a.State], rank[b.State]) })
}

func fine(subject, found string) Result { return Result{Subject: subject, State: OK, Found: found} }

func wrong(subject, found, remedy string) Result {
	return Result{Subject: subject, State: Wrong, Found: found, Remedy: remedy}
}

func advice(subject, found, remedy string) Result {
	return Result{Subject: subject, State: Advice, Found: found, Remedy: remedy}
}

func unknown(subject, found, remedy string) Result {
	return Result{Subject: subject, State: Unknown, Found: found, Remedy: remedy}
}

// asRoot is the remedy where the caller was not let look.
const asRoot = "run drawbridge doctor as root"
