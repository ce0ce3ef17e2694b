package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// askPassword reads a password twice from a terminal without showing it, or once from anything else: a script
// writes it to standard input, because arguments can be seen by everybody on the host.
func (t *tool) askPassword(of string) (string, error) {
	in := bufio.NewReader(t.in)
	if !t.interactive {
		return readSecret(in)
	}
	first, err := t.ask(in, "New password of "+of+": ")
	if err != nil {
		return "", err
	}
	again, err := t.ask(in, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return first, nil
}

// ask prompts and reads a line that is not shown while it is typed.
func (t *tool) ask(in *bufio.Reader, prompt string) (string, error) {
	fmt.Fprint(t.err, prompt)
	defer fmt.Fprintln(t.err)
	defer hideTyping(t.in)()
	return readSecret(in)
}

// readSecret reads a line; a file need not end it.
func readSecret(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", errors.New("no password was given: write it to standard input, in one line")
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// hideTyping turns off the echo of a terminal, and returns what turns it on again.
func hideTyping(in io.Reader) (show func()) {
	f, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	was, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return func() {}
	}
	hidden := *was
	hidden.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &hidden)
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, was) }
}
