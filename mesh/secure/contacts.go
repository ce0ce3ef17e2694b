package secure

import (
	"errors"
	"io/fs"
	"strings"
)

// contactsFile in the state directory has the addresses (host:port, one in a line) of peers that can be called. Joining writes those of
// the token, and the mesh what it has learned since: a peer finds back into a network whose addresses its node file does not name,
// or no longer names rightly.
const contactsFile = "contacts"

// maxKept bounds the addresses that are kept.
const maxKept = 64

// Contacts are the addresses that were kept last. What is no address is left out.
func (c *Credentials) Contacts() ([]string, error) {
	text, err := c.dir.read(contactsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var addrs []string
	for line := range strings.Lines(string(text)) {
		if addr := strings.TrimSpace(line); checkAddr(addr) == nil && len(addrs) < maxKept {
			addrs = append(addrs, addr)
		}
	}
	return addrs, err
}

// KeepContacts replaces them; of too many the first are kept.
func (c *Credentials) KeepContacts(addrs []string) error {
	c.saving.Lock()
	defer c.saving.Unlock()
	return c.dir.keepContacts(addrs)
}

func (d *stateDir) keepContacts(addrs []string) error {
	return d.write(contactsFile, []byte(strings.Join(addrs[:min(len(addrs), maxKept)], "\n")+"\n"))
}
