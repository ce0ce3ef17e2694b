package doctor

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Who else configures interfaces.
const (
	NetworkManager = "NetworkManager"
	Networkd       = "systemd-networkd"
)

const (
	// driftBound is what leases allow for between two clocks, in parts per million (docs/protocol/lease.md, "Timers").
	driftBound = 5000
	// usualTick is the length of a tick in microseconds; adjtimex(2) lets it be changed by a tenth.
	usualTick = 10_000
	// roughest is the coarsest clock that leases of 20 ms can be counted by.
	roughest = time.Millisecond
	// released is before this program was made: a clock that says so is not set.
	releasedYear = 2026
	// future is how far ahead of the clock a file of the state directory may be: file systems round.
	future = time.Minute
)

func judgeClock(f *Facts) (all []Result) {
	c := f.Clock
	if c.Error != "" {
		all = append(all, unknown("", c.Error, asRoot))
	}
	switch {
	case c.Now.Year() < releasedYear:
		all = append(all, wrong("", "the clock says "+c.Now.UTC().Format(time.DateTime)+": certificates and tokens are not valid yet", "set it: timedatectl set-ntp true, or date -s"))
	case c.Newest.After(c.Now.Add(future)):
		all = append(all, wrong("", "the clock was set back: the state directory has files of "+c.Newest.UTC().Format(time.DateTime)+", and it is "+c.Now.UTC().Format(time.DateTime), "set the clock right: timedatectl set-ntp true"))
	case c.Unsynchronised:
		all = append(all, advice("", "nobody keeps the clock right: events of two gateways cannot be compared, and one day tokens and certificates fail", "timedatectl set-ntp true, or install chrony"))
	default:
		all = append(all, fine("", fmt.Sprintf("synchronised, within %s", c.MaxError.Round(time.Millisecond))))
	}
	return append(all, judgeBoottime(c)...)
}

// judgeBoottime looks at the clock by which leases are counted.
func judgeBoottime(c Clock) (all []Result) {
	const subject = "CLOCK_BOOTTIME"
	skew := math.Abs(float64(c.Tick-usualTick)) / usualTick * 1e6
	switch {
	case c.Behind:
		all = append(all, wrong(subject, "it is behind CLOCK_MONOTONIC", "this kernel or sandbox has no real CLOCK_BOOTTIME; no lease can be kept on it: use another host"))
	case c.Tick != 0 && skew > driftBound:
		all = append(all, wrong(subject, fmt.Sprintf("the kernel's tick is set to %d µs instead of %d: clocks run %.1f %% wrong, leases allow 0.5 %%", c.Tick, usualTick, skew/1e4), "adjtimex --tick 10000, and see which time service set it"))
	case math.Abs(c.Drift)-c.DriftError > driftBound:
		all = append(all, wrong(subject, fmt.Sprintf("it runs %.2f %% off the hardware's clock, leases allow 0.5 %%", c.Drift/1e4), "see what slews it (adjtimex, chronyc tracking); on a virtual machine choose another clock source"))
	case c.Resolution > roughest:
		all = append(all, wrong(subject, "its resolution is "+c.Resolution.String(), "boot with highres=on; leases are counted in milliseconds"))
	default:
		all = append(all, fine(subject, fmt.Sprintf("runs with the hardware's clock (%+.0f ± %.0f ppm, source %s)", c.Drift, c.DriftError, c.Source)))
	}
	if slices.Contains([]string{"jiffies", "acpi_pm", "hpet", "refined-jiffies"}, c.Source) {
		all = append(all, advice("clock source", c.Source+" takes a microsecond or more to read, which every batch of frames pays", "choose tsc, kvm-clock or arch_sys_counter in /sys/devices/system/clocksource/clocksource0/current_clocksource, if it is offered"))
	}
	return all
}

func judgeKernel(f *Facts) []Result {
	k := f.Kernel
	needsRoot := func(why string) bool { return !f.Root && why != "" }
	one := func(subject, why, good string, state func(subject, found, remedy string) Result, remedy string) Result {
		switch {
		case why == "":
			return fine(subject, good)
		case needsRoot(why):
			return unknown(subject, why, asRoot)
		default:
			return state(subject, why, remedy)
		}
	}
	return []Result{
		one("gate (BPF)", k.Gate, "the kernel checks the lease for every frame", advice, "a kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF and the capability CAP_BPF; until then only the daemon checks (gate soft)"),
		one("packet sockets", k.Packet, "there", wrong, "a kernel with CONFIG_PACKET, and the capability CAP_NET_RAW"),
		one("super-frames at ports", k.Vnet, "there (PACKET_VNET_HDR)", advice, "a kernel of 5.10 or later; without it frames cross one by one"),
		one("UDP GSO", k.GSO, "there (UDP_SEGMENT)", advice, "a kernel of 4.18 or later; without it datagrams are sent one by one"),
		one("UDP GRO", k.GRO, "there (UDP_GRO)", advice, "a kernel of 5.0 or later; without it datagrams are received one by one"),
		one("TAP devices", k.TUN, "there (/dev/net/tun)", f.needsTAP(), "modprobe tun, and let this host or container open /dev/net/tun"),
	}
}

// needsTAP is how bad it is that there are none.
func (f *Facts) needsTAP() func(subject, found, remedy string) Result {
	if slices.ContainsFunc(f.Ports, func(p Port) bool { return p.TAP }) {
		return wrong
	}
	return advice
}

// leastRuntime is what the kernel lets real-time threads have of each second by default is 950,000 µs; the agent takes
// a hundredth, and must get it at once.
const leastRuntime = 100_000

func judgeRealtime(f *Facts) (all []Result) {
	k := f.Kernel
	switch {
	case k.Realtime == "" && (k.RTRuntime < 0 || k.RTRuntime >= leastRuntime):
		all = append(all, fine("priority", "real-time priority is to be had"))
	case k.Realtime == "":
		all = append(all, wrong("priority", fmt.Sprintf("the kernel gives real-time threads %d µs of each second", k.RTRuntime), "sysctl kernel.sched_rt_runtime_us=950000"))
	case !f.Root:
		all = append(all, unknown("priority", k.Realtime, asRoot))
	default:
		all = append(all, wrong("priority", "no real-time priority: "+k.Realtime, "LimitRTPRIO=90 in the unit, or CAP_SYS_NICE for the container; a busy host loses leases without it"))
	}
	if k.Slack != "" {
		return append(all, advice("timer slack", k.Slack, "TimerSlackNSec=1ms in the unit, and a kernel with /proc/…/timerslack_ns; without it an idle peer takes a few per cent of a core more"))
	}
	return append(all, fine("timer slack", "can be set"))
}

func judgeBuffers(f *Facts) (all []Result) {
	b := f.Buffers
	if b.Force || f.Daemon.Running && !f.Root { // the daemon of the package may
		return []Result{fine("", fmt.Sprintf("the daemon may take %d KiB in each direction, whatever the limits", b.Want>>10))}
	}
	for _, l := range []struct {
		name string
		max  int
	}{{"net.core.rmem_max", b.ReceiveMax}, {"net.core.wmem_max", b.SendMax}} {
		if l.max < b.Want {
			all = append(all, advice(l.name, fmt.Sprintf("%d KiB, %d KiB are wanted: bursts are dropped", l.max>>10, b.Want>>10), fmt.Sprintf("sysctl -w %s=%d, in /etc/sysctl.d too; or give the daemon CAP_NET_ADMIN", l.name, b.Want)))
		}
	}
	if len(all) == 0 {
		all = append(all, fine("", fmt.Sprintf("%d KiB in each direction are to be had", b.Want>>10)))
	}
	return all
}

const (
	leastFree = 64 << 20 // the log of votes is rewritten as a whole when it is compacted
	fewFree   = 512 << 20
	// A change of the configuration waits for the syncs of a majority. Half a second of it is longer than the 300 ms
	// after which voters think that their leader is gone.
	slowSync = 100 * time.Millisecond
	deadSync = 300 * time.Millisecond
)

func judgeDisk(f *Facts) (all []Result) {
	d := f.Disk
	switch {
	case d.Missing:
		return []Result{unknown(d.Path, "the state directory is not there yet", "drawbridge init or join makes it")}
	case d.Error != "" && !f.Root:
		return []Result{unknown(d.Path, d.Error, asRoot)}
	case d.Error != "":
		return []Result{wrong(d.Path, d.Error, "see whether the file system is mounted writable: mount, dmesg")}
	case d.Free < leastFree:
		all = append(all, wrong(d.Path, fmt.Sprintf("%d MiB are free", d.Free>>20), "make room: a voter that cannot write its log loses its vote"))
	case d.Free < fewFree:
		all = append(all, advice(d.Path, fmt.Sprintf("%d MiB are free", d.Free>>20), "make room before it runs full"))
	default:
		all = append(all, fine(d.Path, fmt.Sprintf("%d MiB of %d MiB are free", d.Free>>20, d.Total>>20)))
	}
	return append(all, judgeSyncs(d))
}

func judgeSyncs(d Disk) Result {
	if len(d.Syncs) == 0 {
		return unknown(d.Path, "no write was timed", asRoot)
	}
	syncs := slices.Sorted(slices.Values(d.Syncs))
	median, worst := syncs[len(syncs)/2], syncs[len(syncs)-1]
	found := fmt.Sprintf("a write is safe after %s in the median, %s at worst", short(median), short(worst))
	const remedy = "use a disk of its own or an SSD, not an SD card or a shared volume: one slow voter delays every change that its vote is needed for"
	switch {
	case median >= deadSync && d.Voter:
		return wrong(d.Path, found+", and this peer votes", remedy)
	case median >= slowSync || worst >= 10*slowSync:
		return advice(d.Path, found, remedy)
	default:
		return fine(d.Path, found)
	}
}

// short is a length of time with three digits.
func short(d time.Duration) string {
	return fmt.Sprintf("%.3g ms", d.Seconds()*1000)
}

func judgeDaemon(f *Facts) (all []Result) {
	d := f.Daemon
	switch {
	case d.Running:
	case d.Error != "" && !f.Root:
		return []Result{unknown(d.Socket, d.Error, "run drawbridge doctor as root, or join the group drawbridge")}
	case f.NodeFile.Missing:
		return []Result{fine(d.Socket, "not running, as there is no node file")}
	default:
		return []Result{wrong(d.Socket, "the daemon does not run", "systemctl start drawbridge; journalctl -u drawbridge says why it ended")}
	}
	for _, p := range d.Problems {
		all = append(all, wrong(d.Name, p.Summary, p.Remedy))
	}
	if d.Version != f.Version {
		all = append(all, advice(d.Name, "version "+d.Version+" runs, and "+f.Version+" is installed", "systemctl restart drawbridge, the passive gateway first"))
	}
	if len(all) == 0 {
		all = append(all, fine(d.Name, "runs, version "+d.Version))
	}
	return all
}

func judgeLeftovers(f *Facts) (all []Result) {
	for _, l := range f.Leftovers {
		all = append(all, wrong(l.Path, l.Kind+": "+l.Why, "drawbridge doctor --clean"))
	}
	if len(all) == 0 {
		all = append(all, fine("", "nothing is left of former runs"))
	}
	return all
}
