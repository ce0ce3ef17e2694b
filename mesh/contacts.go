package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// keepEvery is how often it is looked whether addresses of other peers have changed; it costs a write when they have.
const keepEvery = 30 * time.Second

// keepContacts keeps the addresses of other peers for the next run, as long as there is anybody. Who is alone keeps what it had.
func (r *Router) keepContacts(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for warned := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.contacts()
		if len(now) == 0 || slices.Equal(now, r.kept) {
			continue
		}
		err := r.config.Credentials.KeepContacts(now)
		if err == nil {
			r.kept = now
		} else if !warned {
			r.log.Warn("the addresses of other peers were not kept: should all that the node file names be gone at the next start, it finds nobody", "err", err)
		}
		warned = err != nil
	}
}

// contacts are the addresses of other peers that are there, voters first: they can admit and decide.
func (r *Router) contacts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var voters, others []string
	for _, rec := range r.topo.Records() {
		if rec.ID == r.id || rec.Gone || !r.topo.Reachable(rec.ID) {
			continue
		}
		for _, e := range rec.Endpoints {
			if secure.Roles(rec.Roles).Has(secure.Voter) {
				voters = append(voters, e.String())
			} else {
				others = append(others, e.String())
			}
		}
	}
	slices.Sort(voters)
	slices.Sort(others)
	return append(voters, others...)
}
