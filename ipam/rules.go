package ipam

// rules removes single rules of the protocol. Only the mutation tests set any: each of them must then find an
// address in use twice, or lost, which shows that the rule is needed and that the tests would see it break.
type rules struct {
	skipInvariants  bool // merge whatever anybody says
	skipPersistence bool // send and acknowledge before the disk has it
	skipHeirRule    bool // adopt at once, without statements or waiting for the space lease
	skipPromise     bool // forget what the owner of an address was told when it moves
	takeFromAnyone  bool // hold what gossip says, not only what the donor says
}
