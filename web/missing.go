package web

import "fmt"

// Kind is what has a name: what people call it, and the command that lists what there is of it.
type Kind struct{ noun, command string }

// What a request can name.
var (
	KindPeer    = Kind{"peer", "peers"}
	KindSegment = Kind{"segment", "segments"}
	KindPort    = Kind{"port", "ports"}
	KindSink    = Kind{"sink", "alerts sinks"}
	KindAlert   = Kind{"alert", "alerts"}
	KindToken   = Kind{"token", "token list"}
	KindGiver   = Kind{"giver of addresses", "ipam ring"}
)

// Missing is an ErrNotFound that says where the name could be looked up. Whoever mistyped one should not have to search for the list.
func Missing(k Kind, name string) error {
	return fmt.Errorf("%s %s %w: drawbridge %s shows what there is", k.noun, name, ErrNotFound, k.command)
}
