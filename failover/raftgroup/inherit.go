package raftgroup

import "context"

// Inherit has a group that was founded anew go on with a version of the configuration that its network had before: the founder was
// restored from a backup, and all other voters are lost. It becomes a new number, well above the one that it had, as peers that do
// not vote may still have later ones and never go back (restoreVersions). It is for the voter that leads, which knows of every
// decision; a group that has a version already is left as it is.
func (g *Group) Inherit(ctx context.Context, v Version, by string) error {
	s, err := g.Confirmed(ctx, by)
	if err != nil || s.LastVersion != 0 {
		return err
	}
	v.Settled, v.Within, v.Parent, v.Index = nil, 0, 0, 0 // it was in force, and what it followed is not known any more
	s.Seen, s.Versions, s.LastVersion = nil, []Version{v}, v.Number
	_, err = g.Propose(ctx, Command{By: by, Restore: &Restore{s}})
	return err
}
