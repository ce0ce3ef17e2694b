package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

// loadModules loads the files of a directory in the order of its list: what needs another comes after it.
func loadModules(dir string) error {
	list, err := os.Open(filepath.Join(dir, "list"))
	if err != nil {
		return err
	}
	defer list.Close()
	for s := bufio.NewScanner(list); s.Scan(); {
		f, err := os.Open(filepath.Join(dir, s.Text()))
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
			say("module %s: %v", s.Text(), err) // of hardware that is not here
		}
		_ = f.Close()
	}
	return nil
}

// disk is the one that the loader came from.
type disk struct {
	name  string // such as vda
	size  int64
	table *slot.Table
}

// device is the path of a partition.
func (d disk) device(p slot.Partition) string {
	between := ""
	if last := d.name[len(d.name)-1]; last >= '0' && last <= '9' { // nvme0n1p2, mmcblk0p2
		between = "p"
	}
	return "/dev/" + d.name + between + strconv.Itoa(p.Number)
}

// findDisk waits for the disk with a partition of this UUID: another one with an appliance on it may be in the machine.
func findDisk(boot string, wait time.Duration) (disk, error) {
	if boot == "" {
		return disk{}, fmt.Errorf("no drawbridge.boot on the kernel command line")
	}
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		all, _ := filepath.Glob("/sys/block/*")
		for _, path := range all {
			if d, err := openDisk(filepath.Base(path)); err == nil && d.table.Has(boot) {
				return d, nil
			}
		}
	}
	return disk{}, fmt.Errorf("no disk with the partition %s appeared in %s", boot, wait)
}

func openDisk(name string) (disk, error) {
	text, err := os.ReadFile("/sys/block/" + name + "/size")
	if err != nil {
		return disk{}, err
	}
	sectors, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return disk{}, err
	}
	f, err := os.Open("/dev/" + name)
	if err != nil {
		return disk{}, err
	}
	defer f.Close()
	t, err := slot.ReadTable(f, sectors*512)
	return disk{name, sectors * 512, t}, err
}

// find waits for the node of a partition.
func (d disk) find(name string) (string, slot.Partition, error) {
	p, err := d.table.Find(name)
	if err != nil {
		return "", p, err
	}
	path := d.device(p)
	for range 500 {
		if _, err := os.Stat(path); err == nil {
			return path, p, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", p, fmt.Errorf("%s did not appear", path)
}
