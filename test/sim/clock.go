package sim

// clock is CLOCK_BOOTTIME of one machine: it drifts, cannot be set, and stands still only while a hypervisor has
// stopped the machine.
type clock struct {
	at, value int64 // true time and reading when it changed last
	ppm       int64
	stopped   bool
}

func (c *clock) read(t int64) int64 {
	if c.stopped {
		return c.value
	}
	return c.value + (t - c.at) + (t-c.at)*c.ppm/1e6
}

func (c *clock) setRate(t, ppm int64) { c.value, c.at, c.ppm = c.read(t), t, ppm }

func (c *clock) stop(t int64) { c.value, c.at, c.stopped = c.read(t), t, true }

func (c *clock) goOn(t int64) { c.at, c.stopped = t, false }

// when is the true time at which the clock will read value, never before t.
func (c *clock) when(t, value int64) int64 {
	wait := value - c.read(t)
	if wait <= 0 {
		return t
	}
	return t + 1 + wait*1e6/(1e6+c.ppm)
}
