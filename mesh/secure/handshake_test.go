package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func TestPeersOfOneNetworkConnect(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", Gateway, time.Now())
	client, server := shakeHands(t, b.Connect, a.Accept)
	if client.err != nil || server.err != nil {
		t.Fatalf("client: %v; server: %v", client.err, server.err)
	}
	if client.peer.Name != "a" || client.peer.ID != a.ID() || client.peer.Roles != Voter|Gateway {
		t.Errorf("client sees %+v", client.peer)
	}
	if server.peer.Name != "b" || server.peer.ID != b.ID() || server.peer.Roles != Gateway {
		t.Errorf("server sees %+v", server.peer)
	}
	go client.conn.Write([]byte("x"))
	var got [1]byte
	if _, err := io.ReadFull(server.conn, got[:]); err != nil || got[0] != 'x' {
		t.Errorf("first byte after the verdicts is %q, %v", got, err)
	}
}

func TestBothEndsAgreeOnTheExporter(t *testing.T) {
	a := found(t, "office", "a")
	client, server := shakeHands(t, member(t, a, "b", 0, time.Now()).Connect, a.Accept)
	if client.err != nil || server.err != nil {
		t.Fatal(client.err, server.err)
	}
	var keys [2]string
	for i, conn := range []*tls.Conn{client.conn, server.conn} {
		cs := conn.ConnectionState()
		key, err := cs.ExportKeyingMaterial("EXPORTER-drawbridge-data-v1", nil, 32)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = string(key)
		if cs.Version != tls.VersionTLS13 || cs.DidResume {
			t.Errorf("version %#x, resumed %v", cs.Version, cs.DidResume)
		}
	}
	if keys[0] != keys[1] {
		t.Error("exporters differ")
	}
}

// TestTwoNetworksNeverMix: the guard, and that the operators at both ends are told both names.
func TestTwoNetworksNeverMix(t *testing.T) {
	office, plant := found(t, "office", "a"), found(t, "plant", "a")
	client, server := shakeHands(t, office.Connect, plant.Accept)
	mustMix(t, client.err, office.Network, plant.Network)
	mustMix(t, server.err, plant.Network, office.Network)
}

func TestPlainConfigurationsRefuseAnotherNetwork(t *testing.T) {
	office, plant := found(t, "office", "a"), found(t, "plant", "a")
	client, _ := shakeHands(t, plainClient(office.ClientTLS(nil)), plainServer(plant.ServerTLS(nil)))
	mustMix(t, client.err, office.Network, plant.Network)

	careless := office.ClientTLS(nil) // a client that talks to anybody
	careless.VerifyConnection = nil
	_, server := shakeHands(t, plainClient(careless), plainServer(plant.ServerTLS(nil)))
	mustMix(t, server.err, plant.Network, office.Network)
}

func plainClient(config *tls.Config) handshake {
	return func(ctx context.Context, raw net.Conn, _ func(drawbridge.PeerID) bool) (*tls.Conn, Peer, error) {
		conn := tls.Client(raw, config)
		err := conn.HandshakeContext(ctx)
		if err == nil {
			_, err = conn.Read(make([]byte, 1)) // what the server thinks of us
		}
		raw.Close()
		return conn, Peer{}, err
	}
}

func plainServer(config *tls.Config) handshake {
	return func(ctx context.Context, raw net.Conn, _ func(drawbridge.PeerID) bool) (*tls.Conn, Peer, error) {
		conn := tls.Server(raw, config)
		err := conn.HandshakeContext(ctx)
		raw.Close()
		return conn, Peer{}, err
	}
}

func TestBothEndsLearnWhyALinkIsRefused(t *testing.T) {
	now := time.Now()
	a := found(t, "office", "a")
	old := member(t, a, "old", 0, now.Add(-peerLife-time.Hour))
	early := member(t, a, "early", 0, now.Add(3*time.Hour+30*time.Second)) // half a minute for what lies between
	gone := member(t, a, "gone", 0, now)
	if err := a.Revoke("gone", gone.ID(), now); err != nil {
		t.Fatal(err)
	}
	twin := twinOf(t, a.Network)
	forger := member(t, &Credentials{CA: twin, Network: twin.network}, "forger", Voter, now)
	forger.Network = a.Network // trusts the real one

	tests := []struct {
		name  string
		peer  *Credentials
		want  error
		words []string
	}{
		{"expired", old, ErrExpired, []string{"old"}},
		{"signed by a clock that is ahead", early, ErrClock, []string{"at least 3h0m", "behind", "early"}},
		{"revoked", gone, ErrRevoked, []string{"gone", gone.ID().String()}},
		{"forged", forger, ErrForged, []string{"forger"}},
	}
	for _, tt := range tests {
		t.Run(tt.name+" client", func(t *testing.T) {
			client, server := shakeHands(t, tt.peer.Connect, a.Accept)
			mustSay(t, server.err, tt.want, tt.words...)
			mustSay(t, client.err, tt.want, "refused by peer a")
			if client.conn != nil || server.conn != nil {
				t.Error("a refused connection was handed out")
			}
		})
		t.Run(tt.name+" server", func(t *testing.T) {
			client, server := shakeHands(t, a.Connect, tt.peer.Accept)
			mustSay(t, client.err, tt.want, tt.words...)
			mustSay(t, server.err, tt.want, "refused by peer a")
		})
		t.Run(tt.name+" client of a plain configuration", func(t *testing.T) {
			_, server := shakeHands(t, plainClient(tt.peer.ClientTLS(nil)), plainServer(a.ServerTLS(nil)))
			mustSay(t, server.err, tt.want)
		})
	}
}

func TestCallersMayRevokeBesides(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", 0, time.Now())
	accept := func(ctx context.Context, raw net.Conn, _ func(drawbridge.PeerID) bool) (*tls.Conn, Peer, error) {
		return a.Accept(ctx, raw, func(id drawbridge.PeerID) bool { return id == b.ID() })
	}
	_, server := shakeHands(t, b.Connect, accept)
	mustSay(t, server.err, ErrRevoked)
}

func TestClientsThatSpeakSomethingElseAreRefused(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", 0, time.Now())
	tests := map[string]func(*tls.Config){
		"no protocol":      func(c *tls.Config) { c.NextProtos = nil },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"TLS 1.2":          func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no certificate":   func(c *tls.Config) { c.GetClientCertificate = nil },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			config := b.ClientTLS(nil)
			config.VerifyConnection = nil
			spoil(config)
			for _, server := range []handshake{a.Accept, plainServer(a.ServerTLS(nil))} {
				if _, at := shakeHands(t, plainClient(config), server); at.err == nil {
					t.Error("accepted")
				}
			}
		})
	}
}

func TestJoiningConnectionHasNoPeer(t *testing.T) {
	a := found(t, "office", "a")
	config := base(JoinProtocol)
	config.InsecureSkipVerify = true
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(near, config).Handshake()
	conn, p, err := a.Accept(t.Context(), far, nil)
	if err != nil || p.Name != "" || conn.ConnectionState().NegotiatedProtocol != JoinProtocol {
		t.Fatalf("peer %+v, err %v", p, err)
	}
	if _, err := PeerOf(conn.ConnectionState()); !errors.Is(err, ErrCertificate) {
		t.Errorf("PeerOf says %v", err)
	}
}

func TestSilentStrangerIsDropped(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", 0, time.Now())
	strangers := map[string]func(net.Conn){
		"says nothing":        func(net.Conn) {},
		"reads, says nothing": func(c net.Conn) { go io.Copy(io.Discard, c) },
		"gives no verdict":    func(c net.Conn) { go tls.Client(c, anybody(b)).Handshake() },
	}
	for name, behave := range strangers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer near.Close()
				behave(near)
				start := time.Now()
				if _, _, err := a.Accept(t.Context(), far, func(drawbridge.PeerID) bool { return false }); err == nil {
					t.Error("accepted")
				}
				if took := time.Since(start); took > handshakeLimit {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func anybody(c *Credentials) *tls.Config {
	config := c.ClientTLS(nil)
	config.VerifyConnection = nil
	return config
}

func TestClockErrorSaysHowMuchWhenTheFarEndTells(t *testing.T) {
	here := time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC)
	there := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	found := &ClockError{Here: here, Ahead: -time.Hour, Least: true, Other: "the one that signed the certificate of a"}
	got := precise(found, verdict{accepted, there})
	mustSay(t, got, ErrClock, "behind the far end", there.Sub(here).String(), "1970-01-01T00:05:00Z")
	if again := precise(found, verdict{accepted, here}); again != error(found) {
		t.Errorf("two clocks that agree gave %v", again)
	}
}
