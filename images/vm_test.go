//go:build image

package images

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// out is where make image puts what it builds.
var out = filepath.Join("..", "build", "image")

const mib = 1 << 20

// patience bounds every wait for a machine. The emulator may share its cores with anything, and a start that takes 8 s on an idle
// machine took 20 minutes on a busy one: what is late is not wrong. PATIENCE, such as 5m, is for whoever looks on.
var patience = 40 * time.Minute

func TestMain(m *testing.M) {
	if text := os.Getenv("PATIENCE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			fmt.Fprintf(os.Stderr, "PATIENCE=%s: want a length of time such as 5m\n", text)
			os.Exit(2)
		}
		patience = d
	}
	os.Exit(m.Run())
}

// vm is one start of a disk in QEMU. Its first serial port goes to a file, the second has a root shell, which only the
// tests' own loader configuration asks for.
type vm struct {
	t        *testing.T
	dir      string
	cmd      *exec.Cmd
	shell    net.Conn
	keyboard net.Conn // of the first serial port, from the first line that is typed
	heard    []byte
	console  string // host:port that is forwarded to the guest's
	began    time.Time
}

// newDisk copies the image, grown as on a real disk, with a root shell on the second serial port.
func newDisk(t *testing.T) string {
	t.Helper()
	return copyOf(t, filepath.Join(out, "drawbridge-virt.raw"))
}

func copyOf(t *testing.T, image string) string {
	t.Helper()
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	run(t, "cp", "--sparse=always", image, disk)
	if err := os.Truncate(disk, 1<<30); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("grub.cfg")
	if err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(dir, "grub.cfg")
	// An emulator on a busy machine gives its timer too late for the kernel's check of it, which then waits for ever.
	text = bytes.ReplaceAll(text, []byte("systemd.gpt_auto=0"), []byte("systemd.gpt_auto=0 systemd.debug_shell=ttyS1 no_timer_check"))
	if err := os.WriteFile(cfg, text, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-o", "-i", fmt.Sprintf("%s@@%d", disk, 2*mib), cfg, "::/grub/grub.cfg")
	return disk
}

// medium is a stick named DRAWBRIDGE.
func medium(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stick")
	run(t, "mkfs.vfat", "-n", "DRAWBRIDGE", "-C", path, "2048")
	for name, text := range files {
		from := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "mcopy", "-i", path, from, "::/"+name)
	}
	return path
}

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, text)
	}
	return text
}

// machine is what a disk is put into; the zero value is a virtual one with BIOS.
type machine struct {
	uefi    bool
	rtc     string   // what its clock says, instead of the time
	disk    string   // how disks are attached: virtio, or nvme, or ahci
	nic     string   // instead of virtio-net-pci
	sockets []string // further network cards, each with a netdev of QEMU
	memory  string   // what another one like it was suspended to

	processors string // instead of two
}

// start boots a disk; more are further disks.
func start(t *testing.T, uefi bool, disk string, more ...string) *vm {
	t.Helper()
	return launch(t, machine{uefi: uefi}, disk, more...)
}

func launch(t *testing.T, m machine, disk string, more ...string) *vm {
	t.Helper()
	nic := cmp.Or(m.nic, "virtio-net-pci")
	v := &vm{t: t, dir: t.TempDir(), began: time.Now()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.console = l.Addr().String()
	_ = l.Close()
	// One thread emulates all processors: with one for each, QEMU goes on with a translation of what the guest's kernel has patched, and the machine
	// hangs (docs/adr/0023).
	args := []string{
		"-n", "10", "qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", cmp.Or(m.processors, "2"), "-m", "512", "-nodefaults", "-display", "none", "-monitor", "unix:" + v.dir + "/monitor,server=on,wait=off",
		"-chardev", "socket,id=screen,path=" + v.dir + "/typed,server=on,wait=off,logfile=" + v.dir + "/serial", "-serial", "chardev:screen", "-serial", "unix:" + v.dir + "/shell,server=on,wait=off", "-device", "virtio-rng-pci,addr=2",
		"-netdev", "user,id=n0,hostfwd=tcp:" + v.console + "-:8630", "-device", nic + ",netdev=n0,addr=4",
	}
	if len(m.sockets) == 0 { // not the first card's subnet: whatever the guest sends there could go either way
		m.sockets = []string{"user,restrict=on,net=10.0.3.0/24"}
	}
	for i, s := range m.sockets {
		args = append(args, "-netdev", fmt.Sprintf("%s,id=n%d", s, i+1), "-device", fmt.Sprintf("%s,netdev=n%d,addr=%d,mac=52:54:00:%s", nic, i+1, i+5, hardware()))
	}
	args = append(args, "-device", "i6300esb")
	if m.memory != "" {
		args = append(args, "-incoming", "exec:cat "+m.memory)
	}
	if m.rtc != "" {
		args = append(args, "-rtc", "base="+m.rtc)
	}
	if m.uefi {
		run(t, "cp", "/usr/share/OVMF/OVMF_VARS_4M.fd", v.dir+"/vars")
		args = append(args, "-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd", "-drive", "if=pflash,format=raw,file="+v.dir+"/vars")
	}
	if m.disk == "ahci" {
		args = append(args, "-device", "ahci,id=ahci")
	}
	for i, d := range append([]string{disk}, more...) {
		args = append(args, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,file=%s", i, d), "-device")
		switch m.disk {
		case "nvme":
			args = append(args, fmt.Sprintf("nvme,drive=d%d,serial=disk%d,bootindex=%d", i, i, i+1))
		case "ahci":
			args = append(args, fmt.Sprintf("ide-hd,bus=ahci.%d,drive=d%d,bootindex=%d", i, i, i+1))
		default:
			args = append(args, fmt.Sprintf("virtio-blk-pci,drive=d%d,bootindex=%d", i, i+1))
		}
	}
	v.cmd = exec.Command("nice", args...)
	v.cmd.Stderr = os.Stderr
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no emulator outlives its test
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.cut)
	v.try("the second serial port of the emulator", func() error {
		v.shell, err = net.Dial("unix", v.dir+"/shell")
		return err
	})
	return v
}

// hardware is the latter half of a MAC address that no other machine has.
func hardware() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%02x:%02x:%02x", b[0], b[1], b[2])
}

// cut is a loss of power.
func (v *vm) cut() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

// reset is the button of that name.
func (v *vm) reset() {
	v.t.Helper()
	v.order("system_reset")
}

// suspend ends a machine and keeps its memory, from which machine.memory goes on beside a copy of its disks.
func (v *vm) suspend(memory string) {
	v.t.Helper()
	v.order("migrate -d exec:cat>" + memory)
	v.try("the memory in a file", func() error { return contains([]byte(v.order("info migrate")), "status: completed") })
	v.cut()
}

// resumed waits until a machine that goes on from its memory listens: what is typed before that is lost.
func (v *vm) resumed() {
	v.t.Helper()
	v.try("the machine that was suspended", func() error {
		v.send("echo a''wake")
		_, err := v.hear("awake", 2*time.Second)
		return err
	})
	v.drain()
}

// order gives one to the emulator's monitor, which asks for the next when it has been carried out.
func (v *vm) order(order string) (said string) {
	v.t.Helper()
	c, err := net.Dial("unix", v.dir+"/monitor")
	if err != nil {
		v.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	prompt := func() string {
		var heard []byte
		for !bytes.HasSuffix(heard, []byte("\n(qemu) ")) { // what is typed is drawn anew with every character, on its own line
			b, err := in.ReadByte()
			if err != nil {
				v.t.Fatalf("the emulator was told %q: %v: %s", order, err, heard)
			}
			heard = append(heard, b)
		}
		return string(heard)
	}
	prompt()
	if _, err := c.Write([]byte(order + "\n")); err != nil {
		v.t.Fatal(err)
	}
	return prompt()
}

// try repeats until f succeeds: outside of the machine nothing tells when it is so far.
func (v *vm) try(what string, f func() error) {
	v.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("%s: still not there %s after the start of the emulator: %v\nserial console: %s", what, time.Since(v.began).Round(time.Second), err, v.screen())
		}
	}
}

var escape = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// screen is the last of what the first serial port showed.
func (v *vm) screen() string {
	text, _ := os.ReadFile(v.dir + "/serial")
	text = escape.ReplaceAll(text, nil)
	return string(text[max(0, len(text)-6000):])
}

// wait reads the shell until it said what pattern matches; what is it that is waited for.
func (v *vm) wait(what, pattern string) string {
	v.t.Helper()
	said, err := v.hear(pattern, patience)
	if err != nil {
		v.t.Fatalf("%s: %v\nshell: %s\n%s\nserial console: %s", what, err, v.heard, v.diagnosis(), v.screen())
	}
	return said
}

func (v *vm) hear(pattern string, within time.Duration) (string, error) {
	re, b := regexp.MustCompile(pattern), make([]byte, 65536)
	_ = v.shell.SetReadDeadline(time.Now().Add(within))
	for {
		if m := re.FindIndex(v.heard); m != nil {
			said := string(v.heard[:m[1]])
			v.heard = v.heard[m[1]:]
			return said, nil
		}
		n, err := v.shell.Read(b)
		if err != nil {
			return "", fmt.Errorf("nothing like %s within %s: %w", pattern, within, err)
		}
		v.heard = append(v.heard, b[:n]...)
	}
}

// diagnosis interrupts what the shell does and asks the system what is wrong with it.
func (v *vm) diagnosis() string {
	const questions = "systemctl --failed --no-legend --no-pager; systemctl list-jobs --no-pager; drawbridge update status; drawbridge status; timedatectl timesync-status; journalctl -b --no-pager -n 20 -p notice; journalctl -b --no-pager -n 20 -u drawbridge"
	if _, err := fmt.Fprintf(v.shell, "\x03\n%s; echo E''ND=$?\n", questions); err != nil {
		return "the shell is gone: " + err.Error()
	}
	v.heard = nil
	said, err := v.hear(`END=\d+\r?\n`, min(patience, 2*time.Minute))
	if err != nil {
		return fmt.Sprintf("the system does not say what is wrong: %v: %s", err, v.heard)
	}
	return said
}

// drain forgets what the shell has said so far.
func (v *vm) drain() {
	v.heard = nil
	b := make([]byte, 65536)
	for {
		_ = v.shell.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := v.shell.Read(b); err != nil {
			return
		}
	}
}

// booted waits for the shell of the system.
func (v *vm) booted() {
	v.t.Helper()
	v.prompt()
	v.send("stty -echo; export PS1= PS2=")
	v.do("true")
}

// prompt asks for one again and again: what was said before a restart is forgotten.
func (v *vm) prompt() {
	v.t.Helper()
	v.try("the shell", func() error {
		b := make([]byte, 65536)
		_ = v.shell.SetReadDeadline(time.Now().Add(3 * time.Second))
		n, err := v.shell.Read(b)
		v.heard = append(v.heard, b[:n]...)
		if bytes.HasSuffix(escape.ReplaceAll(v.heard, nil), []byte("# ")) {
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_, err = v.shell.Write([]byte("\n"))
		}
		return errors.Join(errors.New("no prompt yet"), err)
	})
	v.heard = nil
}

func (v *vm) send(line string) {
	v.t.Helper()
	if _, err := v.shell.Write([]byte(line + "\n")); err != nil {
		v.t.Fatal(err)
	}
}

// do runs a command in the guest.
func (v *vm) do(command string) string {
	v.t.Helper()
	v.send(command + "; echo E''ND=$?")
	said := v.wait(command, `END=\d+\r?\n`)
	v.t.Logf("%s: %s", command, said)
	return strings.ReplaceAll(escape.ReplaceAllString(said, ""), "\r", "")
}

// expect runs a command whose answer must match.
func (v *vm) expect(command, pattern string) string {
	v.t.Helper()
	said := v.do(command)
	if !regexp.MustCompile("(?m)" + pattern).MatchString(said) {
		v.t.Errorf("%s: want %s, said:\n%s", command, pattern, said)
	}
	return said
}

// fingerprint is that of the certificate which the console shows, as soon as it does.
func (v *vm) fingerprint() (pairs string) {
	v.t.Helper()
	v.try("the console for browsers", func() error {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}
		c, err := d.DialContext(v.t.Context(), "tcp", v.console)
		if err != nil {
			return err
		}
		defer c.Close()
		sum := sha256.Sum256(c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
		pairs = strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
		return nil
	})
	return pairs
}

// contains tells which of the words is not there.
func contains(text []byte, words ...string) error {
	for _, w := range words {
		if !bytes.Contains(text, []byte(w)) {
			return fmt.Errorf("no %q", w)
		}
	}
	return nil
}
