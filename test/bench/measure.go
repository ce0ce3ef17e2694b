package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// figures is what one contender reached in one round.
type figures struct {
	TCP1    float64 `json:"tcp1_gbps"`       // one stream, Gbit/s received
	TCP4    float64 `json:"tcp4_gbps"`       // four streams
	Small   float64 `json:"small_pps"`       // 64-byte frames delivered a second, best of a ladder of offered rates
	CPU     float64 `json:"cpu_s_per_gb"`    // busy seconds of the whole machine for each GB of the one-stream run
	RTT50   float64 `json:"rtt_p50_us"`      // round trip of a small datagram, median
	RTT99   float64 `json:"rtt_p99_us"`      // the same, 99th percentile
	Foreign float64 `json:"cpu_s_when_idle"` // busy seconds in one idle second before: other people's work
}

func (f figures) String() string {
	return fmt.Sprintf("tcp1 %5.2f  tcp4 %5.2f Gbit/s  %4.0f kpps  %5.2f CPU s/GB  rtt %3.0f / %3.0f us  foreign %.2f",
		f.TCP1, f.TCP4, f.Small/1000, f.CPU, f.RTT50, f.RTT99, f.Foreign)
}

// measure builds the bed for c, waits until frames cross it and takes all figures.
func measure(c contender, o options, dir string) (f figures, err error) {
	b, err := build(o, dir, c.direct)
	if err != nil {
		return f, err
	}
	defer b.close()
	if err := c.setup(b, o); err != nil {
		return f, err
	}
	err = until(45*time.Second, "a ping across", func() bool {
		_, err := in(host1, "ping", "-c1", "-W1", hostIP2)
		return err == nil
	})
	if err != nil {
		return f, err
	}
	idle := busy()
	time.Sleep(time.Second)
	f.Foreign = busy() - idle

	if f.RTT50, f.RTT99, err = roundTrips(); err != nil {
		return f, err
	}
	if f.TCP1, f.CPU, err = bulk(o, 1); err != nil {
		return f, err
	}
	if f.TCP4, _, err = bulk(o, 4); err != nil {
		return f, err
	}
	f.Small, err = smallFrames()
	return f, err
}

// busy is the machine's busy time so far in seconds, over all processors (/proc/stat; a tick is 10 ms).
func busy() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	var ticks float64
	for i, word := range strings.Fields(line)[1:] {
		if n, err := strconv.ParseFloat(word, 64); err == nil && i != 3 && i != 4 && i < 8 { // all but idle and iowait; guest time is in user
			ticks += n
		}
	}
	return ticks / 100
}

// bulk runs iperf3 and returns Gbit/s received and CPU seconds a GB.
func bulk(o options, streams int) (gbps, cpu float64, err error) {
	server, err := spawn(host2, "iperf3", "-s", "-1", "-B", hostIP2)
	if err != nil {
		return 0, 0, err
	}
	defer server()
	err = until(5*time.Second, "iperf3 listening", func() bool {
		out, _ := in(host2, "ss", "-Hltn", "sport = :5201")
		return strings.TrimSpace(out) != ""
	})
	if err != nil {
		return 0, 0, err
	}
	before := busy()
	out, err := in(host1, "iperf3", "-c", hostIP2, "-J", "-t", fmt.Sprint(o.seconds), "-P", strconv.Itoa(streams))
	if err != nil {
		return 0, 0, err
	}
	spent := busy() - before
	var result struct {
		End struct {
			Received struct {
				Bytes float64 `json:"bytes"`
				Rate  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return 0, 0, fmt.Errorf("read iperf3's answer: %w", err)
	}
	return result.End.Received.Rate / 1e9, spent / (result.End.Received.Bytes / 1e9), nil
}

// smallFrames offers 64-byte frames at rising rates and returns the best delivered rate.
func smallFrames() (best float64, err error) {
	mac, err := in(host2, "cat", "/sys/class/net/eth0/address")
	if err != nil {
		return 0, err
	}
	const seconds = 0.7
	for _, offered := range []int{100_000, 200_000, 300_000, 450_000, 600_000, 800_000, 1_200_000} {
		before, err := received()
		if err != nil {
			return 0, err
		}
		if _, err := self(host1, "__blast", strings.TrimSpace(mac), strconv.Itoa(offered), fmt.Sprint(seconds)); err != nil {
			return 0, err
		}
		time.Sleep(100 * time.Millisecond) // let queues drain into the count
		after, err := received()
		if err != nil {
			return 0, err
		}
		rate := (after - before) / seconds
		best = max(best, rate)
		if rate < 0.5*float64(offered) {
			break // past the knee: more only heats the machine
		}
	}
	return best, nil
}

func received() (float64, error) {
	out, err := in(host2, "cat", "/sys/class/net/eth0/statistics/rx_packets")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(out), 64)
}

func roundTrips() (p50, p99 float64, err error) {
	server, err := spawn(host2, executable(), "__echo", hostIP2+":7007")
	if err != nil {
		return 0, 0, err
	}
	defer server()
	out, err := self(host1, "__ping", hostIP2+":7007", "2000")
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(out, &p50, &p99)
	return p50, p99, err
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		panic(err) // Linux always knows
	}
	return path
}

func self(ns string, words ...string) (string, error) {
	return in(ns, append([]string{executable()}, words...)...)
}

// spawn runs a helper in the background and returns what ends it.
func spawn(ns string, words ...string) (end func(), err error) {
	b := &bed{dir: os.TempDir()}
	if err := b.start(ns, "dbbench-"+filepath.Base(words[0]), words...); err != nil {
		return nil, err
	}
	return func() {
		b.procs[0].Process.Kill()
		b.procs[0].Wait()
		runtime.Gosched()
	}, nil
}
