package doctor

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/gate"
)

func gatherKernel() Kernel {
	k := Kernel{Gate: tryGate(), GSO: tryOption(unix.UDP_SEGMENT, 1200), GRO: tryOption(unix.UDP_GRO, 1), Realtime: tryRealtime(), Slack: trySlack()}
	k.Packet, k.Vnet = tryPacket()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		k.Release = unix.ByteSliceToString(u.Release[:])
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		k.TUN = plain(err)
	} else {
		_ = f.Close()
	}
	k.RTRuntime = -1
	if n, err := readNumber("/proc/sys/kernel/sched_rt_runtime_us"); err == nil {
		k.RTRuntime = n
	}
	return k
}

// tryGate loads the very programs that a gateway attaches.
func tryGate() string {
	k, err := gate.New()
	if err != nil {
		return err.Error()
	}
	_ = k.Close()
	return ""
}

func tryPacket() (packet, vnet string) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return plain(err), plain(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		vnet = plain(err)
	}
	return "", vnet
}

func tryOption(option, value int) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return plain(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, option, value); err != nil {
		return plain(err)
	}
	return ""
}

// tryRealtime asks for what the lease agent asks for, on a thread that ends with the goroutine.
func tryRealtime() string {
	answer := make(chan string)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime throws the thread away
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			answer <- plain(err)
			return
		}
		answer <- ""
	}()
	return <-answer
}

// trySlack writes the slack that a thread has already.
func trySlack() string {
	path := filepath.Join("/proc", strconv.Itoa(os.Getpid()), "timerslack_ns")
	now, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.TrimSpace(now), 0)
	}
	if err != nil {
		return plain(err)
	}
	return ""
}

func readNumber(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// wantBuffer is what mesh/udp asks for in each direction.
const wantBuffer = 4 << 20

func gatherBuffers() Buffers {
	b := Buffers{Want: wantBuffer}
	receive, _ := readNumber("/proc/sys/net/core/rmem_max") // 0: hidden, as in some containers
	send, _ := readNumber("/proc/sys/net/core/wmem_max")
	b.ReceiveMax, b.SendMax = int(receive), int(send)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return b
	}
	defer func() { _ = unix.Close(fd) }()
	b.Force = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantBuffer) == nil
	return b
}

// measuring is how long clocks are compared; a reading is good to a microsecond, so the rate to a few parts per million,
// or to some ten when there is no hurry to wait for anything else.
const (
	measuring = time.Second
	inAHurry  = 200 * time.Millisecond
)

func (g *gatherer) clock() Clock {
	c := Clock{Newest: newest(g.cfg.StateDir)}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		c.Error = "adjtimex: " + plain(err)
	} else {
		const unsynchronised, timeError = 0x40, 5 // STA_UNSYNC, TIME_ERROR (sys/timex.h)
		c.Unsynchronised = state == timeError || t.Status&unsynchronised != 0
		c.MaxError, c.Tick = time.Duration(t.Maxerror)*time.Microsecond, int64(t.Tick)
	}
	if text, err := os.ReadFile(g.path("/sys/devices/system/clocksource/clocksource0/current_clocksource")); err == nil {
		c.Source = strings.TrimSpace(string(text))
	}
	var r unix.Timespec
	if unix.ClockGetres(unix.CLOCK_BOOTTIME, &r) == nil {
		c.Resolution = time.Duration(r.Nano())
	}
	c.Behind = read(unix.CLOCK_BOOTTIME) < read(unix.CLOCK_MONOTONIC)-int64(time.Millisecond)
	boot, raw, wide := both()
	if g.o.Listen > 0 {
		g.wait(measuring)
	} else {
		g.wait(inAHurry)
	}
	boot2, raw2, wide2 := both()
	if passed := raw2 - raw; passed > 0 {
		c.Drift = (float64(boot2-boot)/float64(passed) - 1) * 1e6
		c.DriftError = math.Ceil(float64(wide+wide2) / float64(passed) * 1e6)
	}
	c.Now = time.Now().UTC()
	return c
}

func read(clock int32) int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(clock, &t) // 0 where there is no such clock, which is behind every other
	return t.Nano()
}

// both reads the two clocks as close to each other as of many tries; wide is how far apart they were read.
func both() (boot, raw, wide int64) {
	wide = math.MaxInt64
	for range 50 {
		before := read(unix.CLOCK_MONOTONIC_RAW)
		now := read(unix.CLOCK_BOOTTIME)
		after := read(unix.CLOCK_MONOTONIC_RAW)
		if after-before < wide {
			boot, raw, wide = now, before+(after-before)/2, after-before
		}
	}
	return boot, raw, wide
}

// features asks the driver for the offloads that matter here, as ethtool -k does (linux/ethtool.h).
func features(name string) (on []string) {
	const (
		getFlags = 0x25    // ETHTOOL_GFLAGS
		lro      = 1 << 15 // ETH_FLAG_LRO
	)
	value := struct{ cmd, data uint32 }{getFlags, 0}
	if ethtool(name, unsafe.Pointer(&value)) == nil && value.data&lro != 0 {
		on = append(on, "rx-lro")
	}
	if hasFeature(name, "rx-gro-hw") {
		on = append(on, "rx-gro-hw")
	}
	return on
}

// Sizes of what ETHTOOL_GSSET_INFO, GSTRINGS and GFEATURES answer; kernels of today have 65 features in 3 blocks.
const (
	maxFeatures = 256
	nameLength  = 32 // ETH_GSTRING_LEN
)

// hasFeature looks a feature up by name and reports whether it is on.
func hasFeature(name, feature string) bool {
	const (
		getSet, getStrings, getFeatures = 0x37, 0x1b, 0x3a // ETHTOOL_GSSET_INFO, _GSTRINGS, _GFEATURES
		ofFeatures                      = 4                // ETH_SS_FEATURES
	)
	set := struct {
		cmd, reserved uint32
		mask          uint64
		count         uint32
	}{cmd: getSet, mask: 1 << ofFeatures}
	if ethtool(name, unsafe.Pointer(&set)) != nil || set.count == 0 || set.count > maxFeatures {
		return false
	}
	names := struct {
		cmd, set, count uint32
		text            [maxFeatures * nameLength]byte
	}{cmd: getStrings, set: ofFeatures, count: set.count}
	if ethtool(name, unsafe.Pointer(&names)) != nil {
		return false
	}
	state := struct {
		cmd, size uint32
		blocks    [maxFeatures / 32]struct{ available, requested, active, never uint32 }
	}{cmd: getFeatures, size: (set.count + 31) / 32}
	if ethtool(name, unsafe.Pointer(&state)) != nil {
		return false
	}
	for i := range set.count {
		if unix.ByteSliceToString(names.text[i*nameLength:(i+1)*nameLength]) == feature {
			return state.blocks[i/32].active&(1<<(i%32)) != 0
		}
	}
	return false
}

// ethtool is SIOCETHTOOL.
func ethtool(name string, data unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: data}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
