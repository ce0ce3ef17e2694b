// Package screen is the status screen of an appliance: what stands on the machine's own console, plain text of 80 columns
// without a login, and what can be typed there. It is a state machine without a terminal: lines come in, orders go out, and
// the text of the moment can be asked for.
package screen

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
)

// Do is what an order is about.
type Do int

const (
	Nothing Do = iota
	Reboot
	Reset   // forget everything
	Drill   // Words: segment; answered by Say, like the next two
	Found   // Words: network, and name or nothing
	Join    // Words: token, and name or nothing
	Look    // which disks are there? answered by Disks
	Install // Words: disk; answered by Progress and Ended
	Find    // which backups are there? answered by Backups
	Open    // Words: medium, file, passphrase; answered by Opened
	Restore // what was opened; Words: found, or nothing; answered by Restored
)

// Order is for whoever runs the screen.
type Order struct {
	Do    Do
	Words []string
}

// step is where in a conversation somebody is.
type step int

const (
	atHome  step = iota
	waiting      // for Say
	looking
	choosing // one of disks
	confirming
	working
	finding
	picking // one of backups
	asking  // for its passphrase
	opening
	agreeing
	restoring
	told // how it ended; at home again with the next line
)

// Screen is the conversation with whoever stands before the machine. One goroutine owns it.
type Screen struct {
	step   step
	disks  []disks.Disk
	chosen disks.Disk
	done   string // how far the work is
	began  bool   // something was written

	backups []installer.Backup
	picked  installer.Backup
	summary Summary
	said    string // answer to the last line
}

// Line takes a line that was typed, and answers what is to be done.
func (s *Screen) Line(text string, h Home) Order {
	words := strings.Fields(printable(text))
	s.said = ""
	switch s.step {
	case choosing:
		s.choose(words)
	case confirming:
		return s.confirm(words)
	case told, atHome:
		s.step = atHome
		return s.home(words, h.Standing)
	case picking:
		s.pick(words)
	case asking:
		return s.secret(text)
	case agreeing:
		return s.agree(words)
	case waiting, looking, working, finding, opening, restoring: // what is typed meanwhile is for nobody
	}
	return Order{}
}

func (s *Screen) home(words []string, standing Standing) Order {
	if len(words) == 0 {
		return Order{}
	}
	rest := words[1:]
	switch {
	case words[0] == "reboot" && len(rest) == 0:
		s.said = "restarting"
		return Order{Do: Reboot}
	case strings.Join(words, " ") == "reset everything" && standing != Fresh:
		s.said = "segments are handed over, the others are asked to remove this peer, and the machine starts anew:\na minute and a half at most"
		return Order{Do: Reset}
	case words[0] == "drill" && len(rest) == 1 && standing == SetUp:
		s.step = waiting
		return Order{Drill, rest}
	case words[0] == "install" && len(rest) == 0 && standing != Broken:
		s.step = looking
		return Order{Do: Look}
	case words[0] == "restore" && len(rest) == 0 && standing == Fresh:
		s.step = finding
		return Order{Do: Find}
	case words[0] == "found" && (len(rest) == 1 || len(rest) == 2) && standing == Fresh:
		s.step = waiting
		return Order{Found, rest}
	case words[0] == "join" && (len(rest) == 1 || len(rest) == 2) && standing == Fresh:
		s.step = waiting
		return Order{Join, rest}
	}
	s.said = "not understood: " + strings.Join(words, " ")
	return Order{}
}

// Say shows how an order ended that has no step of its own.
func (s *Screen) Say(text string) {
	s.said = text
	if s.step == waiting {
		s.step = atHome
	}
}

// Disks shows which ones there are.
func (s *Screen) Disks(all []disks.Disk, err error) {
	if s.step != looking {
		return
	}
	if err != nil {
		s.end("The disks of this machine cannot be listed: " + err.Error())
		return
	}
	s.disks, s.step = all, choosing
	for _, d := range all {
		if d.Refused == "" {
			return
		}
	}
	s.end(list(all) + "\nThere is no disk that this system could be written to: add one, and type install again.")
}

func (s *Screen) choose(words []string) {
	if len(words) == 0 {
		s.step = atHome
		return
	}
	for _, d := range s.disks {
		switch {
		case len(words) != 1 || words[0] != d.Name && words[0] != "/dev/"+d.Name:
		case d.Refused != "":
			s.said = d.Name + " " + d.Refused
			return
		default:
			s.chosen, s.step = d, confirming
			return
		}
	}
	s.said = "there is no disk " + strings.Join(words, " ")
}

func (s *Screen) confirm(words []string) Order {
	if len(words) != 1 || words[0] != s.chosen.Name {
		s.step, s.said = atHome, "nothing was written"
		return Order{}
	}
	s.step, s.done, s.began = working, "it begins", false
	return Order{Install, []string{s.chosen.Name}}
}

// Progress tells how far a work is, in bytes.
func (s *Screen) Progress(what string, done, total int64) {
	if s.step == working {
		s.began = true
		s.done = fmt.Sprintf("%s: %d %% of %d MiB", what, done*100/max(total, 1), total>>20)
	}
}

// Ended tells how the work ended.
func (s *Screen) Ended(err error) {
	switch {
	case s.step != working:
	case err != nil && !s.began:
		s.end("Nothing was written: " + err.Error())
	case err != nil:
		s.end("Not done: " + err.Error() + "\n\nWhat was on the disk is lost, and it does not start. Type install to begin again.")
	default:
		s.end(fmt.Sprintf("%s is written. Take out the medium that this system was started from, and type reboot.\nIt starts without identity and keys, as a machine that has not been set up.", s.chosen.Name))
	}
}

func (s *Screen) end(text string) { s.step, s.done = told, text }

// busy is what is to be seen while there is nothing to type.
var busy = map[step]string{
	waiting: "One moment...", looking: "Looking at the disks of this machine...", finding: "Looking for backups...",
	opening: "Reading the backup to its end. That takes some seconds...", restoring: "Restoring. Leave the machine on.",
}

// Text is what is to be seen.
func (s *Screen) Text(h Home) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Drawbridge %s\n\n", h.Version)
	switch s.step {
	case atHome:
		h.text(&b)
		b.WriteString("\n" + h.orders() + "\n")
	case waiting, looking, finding, opening, restoring:
		b.WriteString(busy[s.step] + "\n")
		return b.String()
	case picking, asking, agreeing:
		s.restoreText(&b)
	case choosing:
		b.WriteString("Write this system to another disk. Its name, or nothing to go back:\n\n" + list(s.disks))
	case confirming:
		fmt.Fprintf(&b, "EVERYTHING ON THIS DISK WILL BE ERASED:\n\n%s\nType its name, %s, once more to write it; anything else goes back.\n", row(s.chosen), s.chosen.Name)
	case working:
		fmt.Fprintf(&b, "Writing this system to %s. Leave the machine on.\n\n%s\n", s.chosen.Name, s.done)
		return b.String()
	case told:
		b.WriteString(s.done + "\n\nEnter goes back.\n")
	}
	if s.said != "" {
		b.WriteString("\n" + s.said + "\n")
	}
	b.WriteString("\n> ")
	return b.String()
}

// printable drops what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\t' {
			return r
		}
		return -1
	}, text)
}

func list(all []disks.Disk) string {
	var b strings.Builder
	for _, d := range all {
		b.WriteString(row(d))
		if d.Refused != "" {
			fmt.Fprintf(&b, "  %-10s   not this one: it %s\n", "", d.Refused)
		}
	}
	return b.String()
}

func row(d disks.Disk) string {
	return fmt.Sprintf("  %-10s %9s  %s; on it: %s\n", d.Name, size(d.Size), model(d), d.Holds)
}

func model(d disks.Disk) string {
	if d.Model == "" {
		return "no model"
	}
	return d.Model
}

// size is in the units that are printed on disks.
func size(n int64) string {
	switch {
	case n >= 1e12:
		return fmt.Sprintf("%.1f TB", float64(n)/1e12)
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%d MB", n/1e6)
}
