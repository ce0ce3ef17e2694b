package screen

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/installer"
)

// Summary says what a backup is of.
type Summary struct {
	Peer, Network, Software string
	Created                 time.Time
	Files                   int
}

// Secret reports whether what is typed now is not to be shown.
func (s *Screen) Secret() bool { return s.step == asking }

// Backups shows which ones there are.
func (s *Screen) Backups(all []installer.Backup, err error) {
	switch {
	case s.step != finding:
	case err != nil:
		s.end("Backups cannot be looked for: " + err.Error())
	case len(all) == 0:
		s.end("There is no backup. It lies in the first directory of a stick or disk with a FAT file system, and its name ends in .age or\n.backup. Put it in, and type restore again.")
	default:
		s.backups, s.step = all, picking
	}
}

func (s *Screen) pick(words []string) {
	if len(words) == 0 {
		s.step = atHome
		return
	}
	n, err := strconv.Atoi(words[0])
	if len(words) != 1 || err != nil || n < 1 || n > len(s.backups) {
		s.said = fmt.Sprintf("there is no number %s", strings.Join(words, " "))
		return
	}
	s.picked, s.step = s.backups[n-1], asking
}

// secret takes a passphrase as it was typed.
func (s *Screen) secret(text string) Order {
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		s.step = picking
		return Order{}
	}
	s.step = opening
	return Order{Open, []string{s.picked.Medium, s.picked.Name, text}}
}

// Opened tells what is in it, or why that is not known. Nothing has been changed.
func (s *Screen) Opened(what Summary, err error) {
	switch {
	case s.step != opening:
	case err != nil:
		s.step, s.said = picking, s.picked.Name+": "+err.Error()
	default:
		s.summary, s.step = what, agreeing
	}
}

// agree wants the name of the peer: two machines with one identity are a clone, and both are cut off.
func (s *Screen) agree(words []string) Order {
	switch {
	case len(words) == 1 && words[0] == s.summary.Peer:
		s.step = restoring
		return Order{Do: Restore}
	case len(words) == 2 && words[0] == s.summary.Peer && words[1] == "found":
		s.step = restoring
		return Order{Restore, words[1:]}
	}
	s.step, s.said = atHome, "nothing was restored"
	return Order{}
}

// Restored tells how it ended.
func (s *Screen) Restored(err error) {
	switch {
	case s.step != restoring:
	case err != nil:
		s.end("Not restored: " + err.Error() + "\n\nThis machine is as it was: not set up. Type restore to begin again.")
	default:
		s.end("This machine is " + s.summary.Peer + " now, and its gateway starts. Take the stick out, and keep it in a safe place.\n" +
			"Where its interfaces have other names than those of the old machine, correct the node file in the console.")
	}
}

func (s *Screen) restoreText(b *strings.Builder) {
	switch s.step {
	case picking:
		b.WriteString("Make this machine the peer of a backup. Its number, or nothing to go back:\n\n")
		for i, f := range s.backups {
			fmt.Fprintf(b, "  %2d  %-8s %7d kB  %s  %s\n", i+1, f.Medium, (f.Size+999)/1000, f.Changed.Format("2006-01-02 15:04"), f.Name)
		}
	case asking:
		fmt.Fprintf(b, "Passphrase of %s, which is not shown while it is typed; nothing goes back.\n", s.picked.Name)
	case agreeing:
		w := s.summary
		fmt.Fprintf(b, "Backup of peer %s of network %s, made %s by release %s: %d files, all whole.\n\n", w.Peer, w.Network, w.Created.UTC().Format("2006-01-02 15:04 MST"), w.Software, w.Files)
		fmt.Fprintf(b, "THE OLD MACHINE MUST NEVER START AGAIN: two with one identity are cut off, both of them.\n\n"+
			"Type its name, %s, to make this machine that peer; anything else goes back.\n"+
			"Only if all voters of the network are lost: %s found, and it decides alone from then on.\n", w.Peer, w.Peer)
	}
}
