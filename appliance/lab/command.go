package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// Command is `drawbridge lab`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Run whole networks on this machine, in network namespaces",
		Long:  `Every peer, host and switch is a network namespace, every daemon the real program. Needs root. Nothing outside of the lab's namespaces is touched.`,
	}
	name := c.PersistentFlags().String("name", "lab", "name of the lab; labs of different names do not disturb each other")
	c.AddCommand(upCommand(name), downCommand(name), statusCommand(name), execCommand(name), logsCommand(name), topologyCommand(),
		nodeCommand(name, "kill", "Kill the daemon of a node (SIGKILL), as a crash would", Kill),
		nodeCommand(name, "stop", "Stop the daemon of a node in order (SIGTERM): it hands its segments over first", Stop),
		nodeCommand(name, "freeze", "Stop the daemon of a node in its tracks (SIGSTOP), as a paused virtual machine would", Freeze),
		nodeCommand(name, "thaw", "Let a frozen daemon go on (SIGCONT)", Thaw),
		startCommand(name), cutCommand(name), healCommand(name), routerCommand(), consolesCommand())
	return c
}

func upCommand(name *string) *cobra.Command {
	var o Options
	c := &cobra.Command{
		Use:   "up",
		Short: "Build a lab, start its daemons and wait until all peers see each other",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, unix.SIGTERM)
			defer stop()
			if err := capable(); err != nil {
				return err
			}
			o.Name, o.Progress = *name, c.OutOrStdout()
			_, err := Up(ctx, o)
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "it stays until drawbridge lab down%s; drawbridge lab status%[1]s shows it\n", named(o.Name))
			}
			return err
		},
	}
	c.Flags().StringVar(&o.Console, "console", "", "serve the nodes' consoles to browsers at IP:port and the ports that follow, for instance 127.0.0.1:7630; without a password")
	c.Flags().StringVar(&o.Engine, "engine", web.EngineUser, "what carries frames: user, kernel, or wireguard: the kernel, encrypting")
	c.Flags().StringVar(&o.Topology, "topology", "default", "file, or one of "+strings.Join(BuiltIn(), ", "))
	c.Flags().StringVar(&o.Binary, "binary", os.Getenv("DRAWBRIDGE_BIN"), "program that the nodes run (default: this one, or $DRAWBRIDGE_BIN)")
	return c
}

// named is the flag by which a lab is found again, unless it has the usual name.
func named(name string) string {
	if name == "lab" {
		return ""
	}
	return " --name " + name
}

// capable refuses early, with the remedy, what would fail later without one.
func capable() error {
	if os.Geteuid() != 0 {
		return errors.New("a lab needs root: network namespaces under /run/netns belong to the machine; `drawbridge demo` works without")
	}
	return nil
}

func downCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove a lab and everything that it started",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return Down(*name) },
	}
}

func statusCommand(name *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the nodes, hosts and switches of a lab",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := StatusOf(*name)
			if err != nil {
				return err
			}
			if !asJSON {
				return s.Print(c.OutOrStdout())
			}
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func execCommand(name *string) *cobra.Command {
	c := &cobra.Command{
		Use:   "exec NODE|HOST -- COMMAND [ARGUMENT...]",
		Short: "Run a command inside of a node, host, switch or router",
		Long: `In a node, and in its guests, DRAWBRIDGE_SOCKET is the node's
daemon, DRAWBRIDGE_CONFIG its node file, and the word drawbridge is the program that the lab runs. The exit status is the command's.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			words := args[1:]
			if words[0] == "--" {
				words = words[1:]
			}
			if len(words) == 0 {
				return errors.New("exec wants a command")
			}
			cmd, n, err := Exec(*name, args[0], words)
			if err != nil {
				return err
			}
			return replace(n, cmd)
		},
	}
	c.Flags().SetInterspersed(false) // what follows the first word is the command's
	return c
}

// replace becomes the command, so that signals, the terminal and the exit status are its own.
func replace(n *netlab.Namespace, cmd *exec.Cmd) error {
	return n.Do(func() error {
		if err := unix.Exec(cmd.Path, cmd.Args, cmd.Env); err != nil {
			return fmt.Errorf("%s: %w", cmd.Path, err)
		}
		return nil // not reached
	})
}

func logsCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "logs NODE",
		Short: "Print the log of a node's daemon",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return Logs(*name, args[0], c.OutOrStdout()) },
	}
}

func topologyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "topology [NAME]",
		Short: "List the built-in topologies, or print one as a file to start from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprintln(c.OutOrStdout(), strings.Join(BuiltIn(), "\n"))
				return nil
			}
			text, ok := BuiltInText(args[0])
			if !ok {
				return fmt.Errorf("topology %q is not one of %s", args[0], strings.Join(BuiltIn(), ", "))
			}
			_, err := c.OutOrStdout().Write(text)
			return err
		},
	}
}

func nodeCommand(name *string, word, short string, do func(lab, node string) error) *cobra.Command {
	return &cobra.Command{
		Use:   word + " NODE",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return do(*name, args[0]) },
	}
}

func startCommand(name *string) *cobra.Command {
	binary := ""
	c := &cobra.Command{
		Use:   "start NODE",
		Short: "Start the daemon of a node that was killed or stopped",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return StartWith(c.Context(), *name, args[0], binary) },
	}
	c.Flags().StringVar(&binary, "binary", "", "program that it runs from now on, as after an update (default: the one before)")
	return c
}

func cutCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "cut NODE NODE|SEGMENT",
		Short: "Cut the underlay between two nodes, or pull a node's cable to a segment",
		Args:  cobra.ExactArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return Cut(*name, args[0], args[1]) },
	}
}

func healCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "heal [NODE NODE|SEGMENT]",
		Short: "Undo a cut, or all of them",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return errors.New("heal wants no argument, or the two of a cut")
			}
			return cobra.MaximumNArgs(2)(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			args = append(args, "", "")
			return Heal(*name, args[0], args[1])
		},
	}
}

func routerCommand() *cobra.Command {
	var inside, outside, mapping string
	c := &cobra.Command{
		Use:    natCommand,
		Short:  "Be the address translation of a router; runs inside of its namespace",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := context.WithCancel(c.Context())
			defer stop()
			near, err := netip.ParsePrefix(inside)
			if err != nil {
				return fmt.Errorf("--inside: %w", err)
			}
			far, err := netip.ParseAddr(outside)
			if err != nil {
				return fmt.Errorf("--outside: %w", err)
			}
			return translate(ctx, &netlab.NAT{Inside: near, Outside: far}, mapping)
		},
	}
	c.Flags().StringVar(&inside, "inside", "", "subnet")
	c.Flags().StringVar(&outside, "outside", "", "address that it appears as")
	c.Flags().StringVar(&mapping, "mapping", MappingIndependent, MappingIndependent+" or "+MappingSymmetric)
	return c
}
