package mesh

import (
	"context"
	"slices"
	"time"
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

// contacts are the addresses to be kept, in an order that only changes with them, voters first.
func (r *Router) contacts() []string {
	voters, rest := r.others()
	slices.Sort(voters)
	slices.Sort(rest)
	return append(voters, rest...)
}
