package notify

import (
	"encoding/json"
	"fmt"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Item is one place in a queue.
type Item struct {
	Sequence uint64 `json:"sequence"`
	// Lost is how many numbers, up to Sequence, this item stands for instead of an event: they did not fit. 0: Event is it.
	Lost  uint64 `json:"lost,omitempty"`
	Event Event  `json:"event"`
}

// Queue is what one sink is still to be told, in order. Numbers have no holes: what is dropped leaves an item that says
// how much. It is not safe for concurrent use, and does nothing but count: Spool keeps it on disk.
type Queue struct {
	limit     int
	items     []Item
	next      uint64 // number of the next event
	delivered uint64 // events told, since the queue was made
	dropped   uint64 // events dropped
	tried     bool   // the first item may have reached the sink: it keeps its number and content
}

// NewQueue returns an empty queue for at most limit items; at least 2, as one may be on its way.
func NewQueue(limit int) *Queue { return &Queue{limit: max(limit, 2), next: 1} }

// Add appends an event, and drops the oldest ones that do not fit.
func (q *Queue) Add(e Event) Item {
	item := Item{Sequence: q.next, Event: e}
	q.next++
	q.items = append(q.items, item)
	for len(q.items) > q.limit {
		q.drop()
	}
	return item
}

// drop makes one item of the oldest two, of which the older one may not be on its way.
func (q *Queue) drop() {
	i := 0
	if q.tried {
		i = 1
	}
	if i+1 >= len(q.items) {
		return
	}
	old, into := q.items[i], &q.items[i+1]
	lost := max(old.Lost, 1) + max(into.Lost, 1)
	if old.Lost == 0 {
		q.dropped++
	}
	if into.Lost == 0 {
		q.dropped++
	}
	*into = lostItem(into.Sequence, lost, into.Event)
	if i == 1 {
		q.items[1] = q.items[0]
	}
	q.items = q.items[1:]
}

// lostItem stands for events up to a number, the last of which was last.
func lostItem(sequence, lost uint64, last Event) Item {
	return Item{Sequence: sequence, Lost: lost, Event: Event{
		ID: last.ID, Time: last.Time, Level: Error, Kind: KindDropped,
		Text: fmt.Sprintf("%s not told: the queue of this sink was full; numbers %d to %d", drawbridge.Counted(lost, "event was", "events were"), sequence-lost+1, sequence),
	}}
}

// GiveUp makes the first item one that tells of itself as dropped: the sink will not take its content.
func (q *Queue) GiveUp(why string) {
	if len(q.items) == 0 || q.items[0].Lost > 0 {
		return
	}
	first := &q.items[0]
	q.dropped++
	*first = Item{Sequence: first.Sequence, Lost: 1, Event: Event{
		ID: first.Event.ID, Time: first.Event.Time, Level: Error, Kind: KindDropped, Reason: why,
		Text: fmt.Sprintf("event number %d, %s, was not told: it was given up", first.Sequence, first.Event.Kind),
	}}
}

// First is what the sink is to be told next. From now on it may have heard of it.
func (q *Queue) First() (Item, bool) {
	if len(q.items) == 0 {
		return Item{}, false
	}
	q.tried = true
	return q.items[0], true
}

// Done notes that the sink has taken the item of that number, and all before it.
func (q *Queue) Done(sequence uint64) {
	for len(q.items) > 0 && q.items[0].Sequence <= sequence {
		if q.items[0].Lost == 0 {
			q.delivered++
		}
		q.items = q.items[1:]
		q.tried = false
	}
}

// Len is how many items wait.
func (q *Queue) Len() int { return len(q.items) }

// The records of a queue on disk. A file begins with a snapshot; what follows is applied to it in order.
type record struct {
	Snapshot *snapshot `json:"snapshot,omitempty"`
	Add      *Event    `json:"add,omitempty"`
	First    bool      `json:"first,omitempty"` // it may have reached the sink
	GiveUp   string    `json:"give_up,omitempty"`
	Done     uint64    `json:"done,omitempty"`
}

type snapshot struct {
	Next      uint64 `json:"next"`
	Delivered uint64 `json:"delivered"`
	Dropped   uint64 `json:"dropped"`
	Tried     bool   `json:"tried,omitempty"`
	Items     []Item `json:"items"`
}

func (q *Queue) snapshot() record {
	return record{Snapshot: &snapshot{q.next, q.delivered, q.dropped, q.tried, q.items}}
}

// apply does what a record says. The queue that wrote it did the same, so both come out alike.
func (q *Queue) apply(r *record) error {
	switch {
	case r.Snapshot != nil:
		s := r.Snapshot
		if err := s.check(); err != nil {
			return err
		}
		q.next, q.delivered, q.dropped, q.tried, q.items = s.Next, s.Delivered, s.Dropped, s.Tried, s.Items
	case r.Add != nil:
		q.Add(*r.Add)
	case r.First:
		q.First()
	case r.GiveUp != "":
		q.GiveUp(r.GiveUp)
	default:
		q.Done(r.Done)
	}
	return nil
}

// check refuses a snapshot that no queue wrote: numbers that do not follow each other.
func (s *snapshot) check() error {
	next := s.Next
	for i := len(s.Items) - 1; i >= 0; i-- {
		item := s.Items[i]
		if item.Sequence != next-1 || item.Sequence < max(item.Lost, 1) {
			return fmt.Errorf("item %d of the queue has number %d, the one after it %d", i, item.Sequence, next)
		}
		next = item.Sequence + 1 - max(item.Lost, 1)
	}
	if next == 0 {
		return fmt.Errorf("the queue begins with number 0")
	}
	return nil
}

// encode is a record as a line: its CRC-32C, a space and JSON.
func (r record) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", sum(text), text), nil
}
