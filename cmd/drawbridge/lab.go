package main

import (
	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
)

// tryOut is everything that runs whole networks on one machine.
func tryOut() []*cobra.Command { return []*cobra.Command{lab.DemoCommand(), lab.Command()} }
