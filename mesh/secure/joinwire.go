package secure

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// The joining exchange: greeting, request, answer, each a JSON object after its length (u32, big endian).
const (
	joinVersion = 1
	maxJoinSize = 16 << 10 // the largest, an answer with a certificate, has about 1 KiB

	joinExporter = "EXPORTER-drawbridge-join-v1"
	joinContext  = "drawbridge join v1\x00"
)

// greeting is what the contact says first, so that a host whose clock is wrong or who has called the wrong
// peer learns it before it gives the secret away.
type greeting struct {
	Version int       `json:"version"`
	Peer    string    `json:"peer"`
	Time    time.Time `json:"time"`
	Voter   bool      `json:"voter"`            // can admit
	Voters  []string  `json:"voters,omitempty"` // who can, when this peer cannot
}

// request is what the joining host asks for.
type request struct {
	Version int    `json:"version"`
	Token   string `json:"token"`
	Secret  []byte `json:"secret"`
	Name    string `json:"name"`
	Key     []byte `json:"key"`
	Proof   []byte `json:"proof"` // signature by Key over proofMessage
}

// answer holds a certificate, or says why not.
type answer struct {
	Certificate  []byte `json:"certificate,omitempty"`   // DER
	AuthorityKey []byte `json:"authority_key,omitempty"` // Ed25519 seed; for voters only
	Code         string `json:"code,omitempty"`
	Text         string `json:"text,omitempty"`
}

// refusals are the codes of an answer. They are part of the protocol; new ones are only ever appended.
var refusals = []struct {
	code string
	err  error
}{
	{"token_unknown", ErrTokenGone},
	{"token_expired", ErrTokenOver},
	{"token_used", ErrTokenUsed},
	{"name_taken", ErrNameTaken},
	{"key_taken", errIDTaken},
	{"revoked", ErrRevoked},
	{"bad_name", drawbridge.ErrName},
	{"bad_request", ErrProtocol},
	{codeInternal, errInternal},
}

const codeInternal = "internal"

var errInternal = errors.New("the contact could not finish; its log says why")

// refuse turns an error into an answer. What is not in the table is our own trouble and stays in our log.
func refuse(err error) answer {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return answer{Code: r.code, Text: err.Error()}
		}
	}
	return answer{Code: codeInternal, Text: errInternal.Error()}
}

// refusedError is an answer with a code as the joining host reports it: the text of the contact, and a
// condition to test for.
type refusedError struct {
	by, text  string
	condition error
}

func (e *refusedError) Error() string { return "peer " + e.by + " refused: " + e.text }

func (e *refusedError) Unwrap() error { return e.condition }

func (a answer) refusal(by string) error {
	if a.Code == "" {
		return nil
	}
	for _, r := range refusals {
		if a.Code == r.code {
			return &refusedError{by, a.Text, r.err}
		}
	}
	return &refusedError{by, fmt.Sprintf("%s (%s)", a.Text, a.Code), ErrProtocol} // a code of a later version
}

// proofMessage binds a request to this very connection, so that nobody can repeat it on another.
func proofMessage(cs tls.ConnectionState, token, name string) ([]byte, error) {
	secret, err := cs.ExportKeyingMaterial(joinExporter, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("join proof: %w", err)
	}
	b := append([]byte(joinContext), secret...)
	b = append(b, token...)
	return append(b, name...), nil
}

// claim checks the form of a request and the proof in it.
func (r request) claim(cs tls.ConnectionState) (claim, error) {
	if err := r.valid(); err != nil {
		return claim{}, err
	}
	proof, err := proofMessage(cs, r.Token, r.Name)
	if err != nil {
		return claim{}, err
	}
	if !ed25519.Verify(r.Key, proof, r.Proof) {
		return claim{}, fmt.Errorf("request does not prove possession of its key: %w", ErrProtocol)
	}
	id, err := ParseTokenID(r.Token)
	if err != nil {
		return claim{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return claim{id, r.Secret, drawbridge.PeerName(r.Name), r.Key}, nil
}

func (r request) valid() error {
	if r.Version != joinVersion {
		return fmt.Errorf("joining version %d, this peer knows %d: %w", r.Version, joinVersion, ErrProtocol)
	}
	if len(r.Key) != ed25519.PublicKeySize || PeerIDOf(r.Key) == 0 {
		return fmt.Errorf("key of %d bytes cannot identify a peer: %w", len(r.Key), ErrProtocol)
	}
	if err := drawbridge.CheckName(r.Name); err != nil {
		return fmt.Errorf("peer %w", err)
	}
	return nil
}

func writeMessage(w io.Writer, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("join message: %w", err)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := w.Write(append(b, body...)); err != nil {
		return fmt.Errorf("send join message: %w", err)
	}
	return nil
}

func readMessage(r io.Reader, message any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return fmt.Errorf("read join message: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxJoinSize {
		return fmt.Errorf("join message of %d bytes: %w", n, ErrProtocol)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("read join message: %w", err)
	}
	if err := json.Unmarshal(body, message); err != nil {
		return fmt.Errorf("join message: %w: %w", ErrProtocol, err)
	}
	return nil
}
