package appliance

// alive reports whether the data path moves: no port lets frames wait that its reader does not take. The lease agent
// keeps a lease only for a peer that says so, and the watchdog of systemd replaces one that does not.
func (n *Node) alive() bool {
	for _, p := range n.ports {
		p.mu.Lock()
		a := p.attached
		p.mu.Unlock()
		if a != nil && a.Stalled() {
			return false
		}
	}
	return true
}
