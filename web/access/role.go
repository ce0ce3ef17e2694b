package access

import (
	"fmt"
	"slices"
)

// Role is how much somebody may do. Each includes those before it.
type Role string

// Roles, weakest first.
const (
	Nobody   Role = ""         // not logged in
	Viewer   Role = "viewer"   // reads
	Operator Role = "operator" // moves gates, captures, flushes
	Admin    Role = "admin"    // everything
)

var ranks = []Role{Nobody, Viewer, Operator, Admin}

// ParseRole accepts the three roles that can be given.
func ParseRole(s string) (Role, error) {
	if r := Role(s); r != Nobody && slices.Contains(ranks, r) {
		return r, nil
	}
	return Nobody, fmt.Errorf("role %q is none of viewer, operator and admin", s)
}

// Includes reports whether r may do what least asks for. A role that nobody knows may do nothing.
func (r Role) Includes(least Role) bool {
	have, want := slices.Index(ranks, r), slices.Index(ranks, least)
	return have >= 0 && want >= 0 && have >= want
}

// weaker is the lesser of two roles.
func weaker(a, b Role) Role {
	if a.Includes(b) {
		return b
	}
	return a
}
