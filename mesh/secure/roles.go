package secure

import (
	"fmt"
	"strings"
)

// Roles are what a peer's certificate entitles it to, beyond carrying frames for its own guests.
type Roles uint8

// The bits are part of the token's layout; new ones are only ever appended.
const (
	Voter   Roles = 1 << iota // may be a member of the Raft group, and holds the network authority's key
	Gateway                   // may ask for the lease of a segment
)

var roleWords = []struct {
	role Roles
	word string
}{{Voter, "voter"}, {Gateway, "gateway"}}

// plain is the word for a peer without any role.
const plain = "peer"

// Has reports whether all of want are among r.
func (r Roles) Has(want Roles) bool { return r&want == want }

// Words lists the roles as an operator writes them; a peer without any is a "peer".
func (r Roles) Words() (words []string) {
	for _, w := range roleWords {
		if r.Has(w.role) {
			words = append(words, w.word)
		}
	}
	if words == nil {
		words = []string{plain}
	}
	return words
}

func (r Roles) String() string { return strings.Join(r.Words(), ",") }

// ParseRoles reads the words that Words writes, in any order.
func ParseRoles(words []string) (r Roles, err error) {
	for _, word := range words {
		role, ok := roleOf(word)
		if !ok {
			return 0, fmt.Errorf("role %q is not one of voter, gateway, peer", word)
		}
		r |= role
	}
	return r, nil
}

func roleOf(word string) (Roles, bool) {
	for _, w := range roleWords {
		if w.word == word {
			return w.role, true
		}
	}
	return 0, word == plain
}
