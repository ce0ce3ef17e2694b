package secure

import "sync"

// windowBits is how far behind the newest counter a datagram may arrive. A batch that the kernel cuts is 64
// datagrams and several queues reorder whole batches; 8,192 is what WireGuard uses.
const windowBits = 8192

// Window tells datagrams that were seen from those that were not (RFC 6479). One belongs to one key and one
// sending thread; the zero value has seen nothing.
type Window struct {
	mu   sync.Mutex
	next uint64                    // one above the highest counter seen
	bits [windowBits/64 + 1]uint64 // one more: the window starts and ends inside a word
}

// Accept reports whether counter is new, and remembers it. Ask only about datagrams that were
// authenticated: a forged counter would push the window ahead of all true ones.
func (w *Window) Accept(counter uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case counter >= w.next:
		w.slide(counter + 1)
	case w.next-counter > windowBits:
		return false
	}
	word, bit := &w.bits[counter/64%uint64(len(w.bits))], uint64(1)<<(counter%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// slide forgets what falls out of the window when next becomes the first unseen counter. A word is
// forgotten when the first of its counters comes into the window.
func (w *Window) slide(next uint64) {
	words := uint64(len(w.bits))
	from, to := (w.next+63)/64, (next-1)/64 // words whose first counter is new
	if w.next == 0 || to-from >= words && to >= from {
		from = to - min(to, words-1) // all of them
	}
	for i := from; i <= to; i++ {
		w.bits[i%words] = 0
	}
	w.next = next
}
