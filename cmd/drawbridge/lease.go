package main

import (
	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/failover/lease/agent"
	"github.com/drawbridge-net/drawbridge/failover/lease/warden"
)

// leaseAgentCommand is the process that keeps the daemon's leases. The daemon starts it, with a pipe as descriptor 3; it
// is of no use to anybody else.
func (t *tool) leaseAgentCommand() *cobra.Command {
	return &cobra.Command{
		Use:    warden.Argument,
		Short:  "Keep the leases of the daemon that started this",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return agent.Serve(daemonsPipe) },
	}
}

// daemonsPipe is the first descriptor after standard error.
const daemonsPipe = 3
