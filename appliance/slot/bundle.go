package slot

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aead.dev/minisign"
)

// magic begins a bundle; then come two lines with the sizes of manifest and signature, these two, the root and the boot
// image. What is not signed is only the two sizes, and those are bounded.
const magic = "DRAWBRIDGE-BUNDLE-1"

const (
	maxManifest = 64 << 10
	// MaxImage is the largest image in bytes, above any slot.
	MaxImage = 1 << 30
	// MaxBundle is the largest bundle in bytes: two images and their head.
	MaxBundle = 2*MaxImage + 2*maxManifest + 1<<10
)

// Why a bundle is refused.
var (
	ErrNotBundle = errors.New("this is no update bundle: want the file drawbridge-VARIANT.bundle of a release")
	ErrSignature = errors.New("the bundle is not signed by the release key of this appliance")
	ErrForeign   = errors.New("the bundle is for another machine")
	ErrOlder     = errors.New("the bundle is not newer than what runs")
	ErrDamaged   = errors.New("the bundle is damaged: fetch it again")
)

// Image is one of the two images of a bundle.
type Image struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Manifest is what the signature is for.
type Manifest struct {
	Product string `json:"product"`
	Variant string `json:"variant"`
	Arch    string `json:"arch"`
	Version string `json:"version"`
	Release uint64 `json:"release"` // seconds since 1970; only grows
	Boot    Image  `json:"boot"`
	Root    Image  `json:"root"`
}

// Bundle is one whose manifest has been verified, and whose images have yet to be read.
type Bundle struct {
	Manifest
	rest io.Reader
}

// Open reads the head of a bundle and verifies it: nothing that it says is believed before.
func Open(r io.Reader, key minisign.PublicKey) (*Bundle, error) {
	return openHead(r, func(manifest, signature []byte) error { return signed(key, manifest, signature) })
}

// OpenUnverified reads the head of a bundle where there is no release key: what it says may be anybody's word.
func OpenUnverified(r io.Reader) (*Bundle, error) {
	return openHead(r, func(_, _ []byte) error { return nil })
}

func openHead(r io.Reader, verify func(manifest, signature []byte) error) (*Bundle, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	if line, err := readLine(b); err != nil || line != magic {
		return nil, ErrNotBundle
	}
	var parts [2][]byte
	var sizes [2]int
	for i := range sizes {
		line, err := readLine(b)
		if err != nil {
			return nil, ErrNotBundle
		}
		if sizes[i], err = strconv.Atoi(line); err != nil || sizes[i] < 0 || sizes[i] > maxManifest {
			return nil, ErrNotBundle
		}
	}
	for i, n := range sizes {
		parts[i] = make([]byte, n)
		if _, err := io.ReadFull(b, parts[i]); err != nil {
			return nil, fmt.Errorf("%w: it ends in its head", ErrDamaged)
		}
	}
	if err := verify(parts[0], parts[1]); err != nil {
		return nil, err
	}
	bundle := &Bundle{rest: b}
	if err := json.Unmarshal(parts[0], &bundle.Manifest); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	return bundle, bundle.check()
}

// signed tells who signed instead, so that the keys of two builds can be told apart.
func signed(key minisign.PublicKey, manifest, signature []byte) error {
	var by minisign.Signature
	switch err := by.UnmarshalText(signature); {
	case len(signature) == 0:
		return fmt.Errorf("%w: it is not signed at all", ErrSignature)
	case err != nil:
		return fmt.Errorf("%w: its signature cannot be read", ErrSignature)
	case by.KeyID != key.ID():
		return fmt.Errorf("%w: key %X signed it, wanted is %X", ErrSignature, by.KeyID, key.ID())
	case !minisign.Verify(key, manifest, signature):
		return fmt.Errorf("%w: it was changed after it had been signed", ErrSignature)
	}
	return nil
}

func readLine(b *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < 32 {
		c, err := b.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return string(line), nil
		}
		line = append(line, c)
	}
	return "", ErrNotBundle
}

func (m Manifest) check() error {
	for _, i := range []Image{m.Boot, m.Root} {
		if h, err := hex.DecodeString(i.SHA256); err != nil || len(h) != sha256.Size || i.Size <= 0 || i.Size > MaxImage {
			return fmt.Errorf("%w: its manifest describes no images", ErrDamaged)
		}
	}
	if m.Release == 0 {
		return fmt.Errorf("%w: its manifest has no release number", ErrDamaged)
	}
	return nil
}

// Fits refuses a bundle for another machine, or one that is not newer than what runs, which is 0 where any will do.
func (m Manifest) Fits(variant, arch string, running uint64) error {
	if m.Product != "drawbridge" || m.Variant != variant || m.Arch != arch {
		return fmt.Errorf("%w: it is for %s, %s, %s; this is drawbridge, %s, %s", ErrForeign, m.Product, m.Variant, m.Arch, variant, arch)
	}
	if m.Release <= running {
		return fmt.Errorf("%w: its release is %d, %d runs; drawbridge update rollback goes back to the other slot, --older installs it nevertheless", ErrOlder, m.Release, running)
	}
	return nil
}

// Whole reads all of both images and reports whether they are what the manifest says.
func (b *Bundle) Whole() error {
	return b.images(io.Discard, io.Discard, "", func(string, int64, int64) {})
}

// copyImage copies one image and reports whether it is what the manifest says.
func (b *Bundle) copyImage(to io.Writer, i Image, progress func(n int64)) error {
	h, buf := sha256.New(), make([]byte, 1<<20)
	for left := i.Size; left > 0; {
		n, err := io.ReadFull(b.rest, buf[:min(left, int64(len(buf)))])
		if err != nil {
			return fmt.Errorf("%w: it ends %d bytes early: %w", ErrDamaged, left-int64(n), err)
		}
		h.Write(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
		progress(int64(n))
	}
	if !strings.EqualFold(hex.EncodeToString(h.Sum(nil)), i.SHA256) {
		return fmt.Errorf("%w: an image has another checksum than its manifest says", ErrDamaged)
	}
	return nil
}
