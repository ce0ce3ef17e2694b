package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Cipher says how datagrams are sealed.
type Cipher uint8

// Ciphers, as they are announced on the wire. CipherNone seals nothing and exists for measurements and for
// wires that somebody else protects; both ends must have been told to use it.
const (
	CipherAES128GCM Cipher = 1
	CipherNone      Cipher = 2
)

// ExporterLabel names the secret that a control link gives to its data link (RFC 8446 §7.5).
const (
	ExporterLabel  = "EXPORTER-drawbridge-data-v1"
	ExporterLength = 32
)

// Lengths of the sealed form.
const (
	TagLen   = 16
	nonceLen = 12
)

// ErrCipher is what deriving a key answers when the two ends disagree about sealing.
var ErrCipher = errors.New("the two ends are configured for different ciphers")

// RxKey is how the receiver of a direction announces the key that it wants to be sent under. Index is what
// the clear header of each datagram names it by; it means something to this receiver only.
//
//	0  index    4
//	4  cipher   1
//	5  nonce   32  random
type RxKey struct {
	Index  uint32
	Cipher Cipher
	Nonce  [32]byte
}

// RxKeyLen is the length of an encoded RxKey.
const RxKeyLen = 37

// NewRxKey draws a key announcement.
func NewRxKey(index uint32, c Cipher) RxKey {
	k := RxKey{Index: index, Cipher: c}
	_, _ = rand.Read(k.Nonce[:]) // never fails, by its contract
	return k
}

// Append writes k behind b.
func (k RxKey) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, k.Index)
	return append(append(b, byte(k.Cipher)), k.Nonce[:]...)
}

// ParseRxKey reads what Append wrote.
func ParseRxKey(b []byte) (k RxKey, err error) {
	if len(b) < RxKeyLen {
		return k, fmt.Errorf("key announcement of %d bytes, want %d", len(b), RxKeyLen)
	}
	k.Index, k.Cipher = binary.BigEndian.Uint32(b), Cipher(b[4])
	copy(k.Nonce[:], b[5:])
	return k, nil
}

// DataKey seals, or opens, the datagrams of one direction. The secret behind it depends on the control
// link's TLS session, the direction and the receiver's nonce, so no two directions, links or rotations
// share one. Any goroutine may use it.
type DataKey struct {
	cipher.AEAD
	iv [nonceLen]byte
}

// Derive makes the key that k announces. receiverDialled says whether the end that announced it is the one
// that dialled the control link; want is the cipher that this end is configured for.
func (k RxKey) Derive(exporter []byte, receiverDialled bool, want Cipher) (*DataKey, error) {
	if k.Cipher != want {
		return nil, fmt.Errorf("the far end seals with cipher %d, this one with %d: %w; set [data] cipher alike on both", k.Cipher, want, ErrCipher)
	}
	info := append([]byte("drawbridge rx "), 0)
	if receiverDialled {
		info[len(info)-1] = 1
	}
	info = binary.BigEndian.AppendUint32(info, k.Index)
	secret, err := hkdf.Key(sha256.New, exporter, k.Nonce[:], string(info), 16+nonceLen)
	if err != nil {
		return nil, fmt.Errorf("derive data key: %w", err)
	}
	d := &DataKey{AEAD: noCipher{}}
	copy(d.iv[:], secret[16:])
	if k.Cipher == CipherNone {
		return d, nil
	}
	block, err := aes.NewCipher(secret[:16])
	if err != nil {
		return nil, fmt.Errorf("derive data key: %w", err)
	}
	d.AEAD, err = cipher.NewGCM(block)
	return d, err
}

// Nonce writes the nonce of a datagram: the key's iv, with the sending thread and its counter folded into
// the last six bytes (RFC 8446 §5.3 does the same with its record number).
func (d *DataKey) Nonce(to *[nonceLen]byte, thread uint8, counter uint64) {
	*to = d.iv
	to[6] ^= thread
	to[7] ^= byte(counter >> 32)
	to[8] ^= byte(counter >> 24)
	to[9] ^= byte(counter >> 16)
	to[10] ^= byte(counter >> 8)
	to[11] ^= byte(counter)
}

// NonceBuffer is room for a nonce.
type NonceBuffer = [nonceLen]byte

// noCipher copies, and leaves room for the tag so that the layout stays the same.
type noCipher struct{}

var _ cipher.AEAD = noCipher{}

func (noCipher) NonceSize() int { return nonceLen }
func (noCipher) Overhead() int  { return TagLen }

func (noCipher) Seal(dst, _, plaintext, _ []byte) []byte {
	return append(append(dst, plaintext...), make([]byte, TagLen)...)
}

func (noCipher) Open(dst, _, sealed, _ []byte) ([]byte, error) {
	if len(sealed) < TagLen {
		return nil, errors.New("shorter than its tag")
	}
	return append(dst, sealed[:len(sealed)-TagLen]...), nil
}
