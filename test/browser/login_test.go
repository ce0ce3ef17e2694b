package browser

import (
	"testing"
)

func TestNothingIsShownBeforeLogIn(t *testing.T) {
	n, b := look(t)
	n.Know(Session{Peer: "a", Fingerprint: "AB:CD"})
	b.ignore("401")
	b.do("open", navigate(b.url+"/peers"))
	b.awaitText("h1", "Log in")
	b.accessible("the log in")
	b.fill("input[autocomplete=username]", "alice")
	b.fill("input[type=password]", "wrong")
	b.click("button", "Log in")
	b.awaitText(".wrong", "name or password is wrong")
	b.fill("input[type=password]", Password)
	b.click("button", "Log in")
	b.awaitText("h1", "Peers")
	b.awaitText(".who", "alice")
	n.Know(Session{Peer: "a"}) // the session ended elsewhere
	n.server.CloseClientConnections()
	b.ignore("")
	b.ignore("Failed to load resource")
	b.awaitText("h1", "Log in")
}

func TestTheFirstUserIsMadeWithTheCode(t *testing.T) {
	n, b := look(t)
	n.Know(Session{Peer: "a", FirstRun: true, Fingerprint: "AB:CD"})
	b.do("open", navigate(b.url+"/"))
	b.awaitText("h1", "Welcome")
	b.accessible("the first run")
	b.fill("input[autocomplete=off]", "one two three four five six seven eight")
	b.fill("label:nth-of-type(3) input", Password)
	b.fill("label:nth-of-type(4) input", "something else")
	b.awaitText(".wrong", "The two differ")
	b.fill("label:nth-of-type(4) input", Password)
	b.click("button", "Make the admin")
	b.awaitText("h1", "a carries office")
	b.awaitText(".who", "admin")
}
