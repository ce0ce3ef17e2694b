package ipam

import (
	"net/netip"
	"strings"
	"testing"
)

// mutations name, beside the rule, the operation that provokes what it prevents, and a seed from which the
// search is short.
var mutations = []struct {
	name      string
	broken    rules
	favourite int
	seed      uint64
}{
	{"skipInvariants", rules{skipInvariants: true}, opForge, 1},
	{"skipPersistence", rules{skipPersistence: true}, opCrash, 60},
	{"skipPromise", rules{skipPromise: true}, opMove, 1},
	{"skipHeirRule", rules{skipHeirRule: true}, opRemove, 1},
}

// TestMutations takes one rule away at a time and demands that the simulation then finds a violation: the rule
// is needed, and the simulation would notice its loss.
func TestMutations(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			for seed := m.seed; seed < m.seed+300; seed++ {
				if s := simulate(seed, 3+int(seed%5), 200, m.broken, m.favourite, nil); s.bad != "" {
					t.Logf("seed %d: %s", seed, s.bad)
					return
				}
			}
			t.Error("the rule is gone and nothing went wrong")
		})
	}
}

// strandedGift plays the one history that gossip alone gets wrong. 1 gives a block to 3, who never hears of it;
// only 4 does. 1 is removed, and 3 states that it has nothing. Then 3 hears of the gift from 4, and after that 2,
// the heir, has all statements and adopts the block. 2 and 3 now allocate the same address if they can.
func strandedGift(broken rules) string {
	s := newSim(1, 5, broken)
	s.calm = true
	giver, heir, taker, witness := s.boxes[0], s.boxes[1], s.boxes[2], s.boxes[3]
	s.run(5 * second)
	giver.side, witness.side = 1, 1
	ask := Message{Kind: Ask, From: taker.peer.me, To: giver.peer.me, Decision: 1, Subnet: taker.peer.pools[0].ring.Shape, Number: 1, What: askBlocks, Many: 1}
	if err := giver.peer.Receive(s.now, taker.id, ask.Append(nil)); err != nil {
		return err.Error()
	}
	s.output(giver)
	s.run(5 * second)
	gift := 0
	for giver.peer.pools[0].ring.regs[gift].Owner != taker.peer.me {
		gift++
	}
	s.crash(giver)
	s.decided.Number++
	m := s.decided.member(Holder{giver.id, s.decided.living(giver.id).Life})
	m.Removed, m.Heir = s.decided.Number, heir.id
	s.publish()
	s.run(2 * simLease)
	claim := func(b *box) {
		r := Request{Number: s.rnd.Uint64(), Subnet: s.ground, Owner: "guest of " + b.id.String(), Addr: addressIn(heir, gift), Patience: 1}
		s.asked[r.Number] = r
		b.peer.Allocate(s.now, r)
		s.output(b)
		s.run(second)
	}
	heir.side, s.boxes[4].side = 2, 2
	taker.side = 1
	s.run(5 * second)
	claim(taker)
	heir.side, s.boxes[4].side, witness.side, taker.side = 0, 0, 0, 1
	s.run(10 * second)
	if !heir.peer.pools[0].space.held[gift] {
		return "the heir did not adopt the gift"
	}
	claim(heir)
	return s.bad
}

// addressIn is an address of a block.
func addressIn(b *box, block int) netip.Addr {
	first, _ := b.peer.pools[0].ring.span(block)
	return b.peer.pools[0].ring.Addr(first + 1)
}

func TestStrandedGift(t *testing.T) {
	if bad := strandedGift(rules{}); bad != "" {
		t.Error(bad)
	}
	for _, broken := range []rules{{takeFromAnyone: true}} {
		if bad := strandedGift(broken); !strings.Contains(bad, "is given to") {
			t.Errorf("%+v: the rule is gone and nothing went wrong: %s", broken, bad)
		}
	}
}
