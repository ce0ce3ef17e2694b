package web

// Where a voter stands in the group.
const (
	VoterVotes  = "votes"
	VoterLearns = "learns"
)

// Voters is the group that decides: who is in it, who leads it and who answers, as this peer sees it.
type Voters struct {
	Here       bool    `json:"here" doc:"Whether this peer is one of them. If not, it knows who they are and nothing of what follows"`
	Leader     string  `json:"leader,omitempty" doc:"The voter through which decisions go just now; left out while there is none"`
	Generation uint32  `json:"generation" doc:"Number of the set of voters and timers that leases are asked for under"`
	Quorum     bool    `json:"quorum" doc:"Whether a majority answers, without which no gateway may be active"`
	Spare      int     `json:"spare" doc:"How many of those that answer may fall silent before that is so"`
	Voters     []Voter `json:"voters" doc:"By name"`
}

// Voter is one of them.
type Voter struct {
	Name    string       `json:"name" doc:"Name of the peer"`
	Gateway bool         `json:"gateway" doc:"Whether it is a gateway of a segment too; one that is not is a witness"`
	State   string       `json:"state" enum:"votes,learns" doc:"learns: it is being added, and follows without a vote"`
	Address string       `json:"address,omitempty" doc:"Where the others reach it"`
	Answers bool         `json:"answers" doc:"Whether it has answered within the last second"`
	RTT     Milliseconds `json:"rtt_ms" doc:"Round trip of its last answer in milliseconds; 0: unknown, or this peer"`
	SilentS float64      `json:"silent_s,omitempty" doc:"Seconds since its last answer, when it does not answer; left out: it never has"`
}
