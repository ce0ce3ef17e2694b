package lease

// rules removes single rules of the protocol. Only the mutation tests set any: each of them must then find two leases at
// once or epochs out of order, which shows that the rule is needed and that the tests would see it break.
type rules struct {
	countFromAnswer     bool // holder counts the lease from the grant instead of the request
	skipRestartRule     bool // a restarted voter promises at once
	releaseBeforeClose  bool // holder releases first and shuts later
	ignoreDrift         bool // both sides count the bare term
	promiseTwice        bool // voter promises over a live promise
	acceptOldGeneration bool // voter serves retired configurations
	newSetOnly          bool // candidate ignores the old voter sets
	renewLapsed         bool // holder goes on under its old epoch after its lease ended
	forgetBirth         bool // restarted voter accepts epochs of any generation

	noJitter bool // no mutation: the explorer's states must not depend on chance
}
