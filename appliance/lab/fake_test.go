package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
)

// TestMain lets the test program stand in for the daemon: a lab that it builds starts it again, with the daemon's
// arguments.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "init", "join", "run":
			os.Exit(fake(os.Args[1:]))
		case "lab", "demo":
			c := map[string]func() *cobra.Command{"lab": Command, "demo": DemoCommand}[os.Args[1]]()
			c.SetArgs(os.Args[2:])
			if err := c.ExecuteContext(context.Background()); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// fakeConfig is what the stand-in reads of its node file.
type fakeConfig struct {
	Name     string   `toml:"name"`
	StateDir string   `toml:"state_dir"`
	Socket   string   `toml:"socket"`
	Join     []string `toml:"join"`
	Segment  []struct{ Name, Mode string }
}

// complaints is the file in a lab's folder whose lines are problems of all stand-ins.
const complaints = "complaints"

// fake is a daemon that believes whatever the files beside its own say. Joining does need the founder's address.
func fake(args []string) int {
	fmt.Println(args)
	var c fakeConfig
	text, err := os.ReadFile(args[len(args)-1])
	if err == nil {
		err = toml.Unmarshal(text, &c)
	}
	switch {
	case err != nil:
	case args[0] == "init":
		err = os.MkdirAll(c.StateDir, 0o700)
	case args[0] == "join":
		err = errors.Join(os.MkdirAll(c.StateDir, 0o700), call(args[1]))
	default:
		err = c.serve(filepath.Dir(filepath.Dir(args[len(args)-1])))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// call tries the addresses of a token of ours.
func call(token string) (err error) {
	for _, addr := range strings.Split(token, ",") {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", addr, 5*time.Second); err == nil {
			return conn.Close()
		}
	}
	return err
}

// serve answers on the socket as a peer that reaches all others.
func (c fakeConfig) serve(lab string) error {
	if _, err := os.Stat(c.StateDir); err != nil {
		return err // neither init nor join
	}
	if _, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	answer := func(path string, v func() any) {
		mux.HandleFunc("/api/v1/"+path, func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(v()) })
	}
	var asked atomic.Int32
	answer("status", func() any {
		s := web.Status{Name: c.Name}
		if asked.Add(1) < 5 {
			s.Problems = append(s.Problems, web.Problem{Summary: "somebody is late"})
		}
		said, _ := os.ReadFile(filepath.Join(lab, complaints))
		for line := range strings.Lines(string(said)) {
			s.Problems = append(s.Problems, web.Problem{Summary: strings.ReplaceAll(strings.TrimSpace(line), "NODE", c.Name)})
		}
		return s
	})
	answer("tokens", func() any { return web.NewToken{Token: os.Getenv("FAKE_FOUNDER")} })
	answer("peers", func() any {
		var peers []web.Peer
		found, _ := filepath.Glob(filepath.Join(lab, "*", "drawbridge.sock"))
		for _, socket := range found {
			peers = append(peers, web.Peer{Name: filepath.Base(filepath.Dir(socket)), State: web.PeerDirect})
		}
		return peers
	})
	answer("segments", func() any {
		active := "a"
		return []web.Segment{{Name: "office", Active: &active}}
	})
	os.Remove(c.Socket)
	l, err := net.Listen("unix", c.Socket)
	if err != nil {
		return err
	}
	return http.Serve(l, mux)
}
