package sim

// moment is something that happens at an instant of true time, in nanoseconds since the beginning, which no machine knows.
type moment struct {
	at    int64
	order uint64 // of two at the same time, the one that was planned first comes first
	do    func()
}

func (m *moment) before(o *moment) bool { return m.at < o.at || m.at == o.at && m.order < o.order }

// queue holds what is still to happen: a binary heap. That of the standard library allocates for every element.
type queue struct {
	list  []moment
	order uint64
}

func (q *queue) push(at int64, do func()) {
	q.order++
	q.list = append(q.list, moment{at, q.order, do})
	for i := len(q.list) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.list[i].before(&q.list[up]) {
			break
		}
		q.list[i], q.list[up] = q.list[up], q.list[i]
		i = up
	}
}

func (q *queue) pop() moment {
	top, n := q.list[0], len(q.list)-1
	q.list[0] = q.list[n]
	q.list[n] = moment{}
	q.list = q.list[:n]
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < n; k++ {
			if q.list[k].before(&q.list[least]) {
				least = k
			}
		}
		if least == i {
			return top
		}
		q.list[i], q.list[least] = q.list[least], q.list[i]
		i = least
	}
}
