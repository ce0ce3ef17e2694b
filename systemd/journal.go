package systemd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// journalSocket is where the journal takes entries.
const journalSocket = "/run/systemd/journal/socket"

// Journal sends entries with fields of their own to the systemd journal.
type Journal struct {
	conn *net.UnixConn // nil: nobody listens
}

// OpenJournal connects to the journal when the service manager started this process under it; otherwise entries go
// nowhere, as the log on standard error has to do.
func OpenJournal() (*Journal, error) {
	if os.Getenv("JOURNAL_STREAM") == "" {
		return &Journal{}, nil
	}
	return dialJournal(journalSocket)
}

func dialJournal(path string) (*Journal, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return &Journal{}, fmt.Errorf("systemd journal: %w", err)
	}
	return &Journal{conn}, nil
}

// maxEntry bounds an entry in bytes: what every kernel takes as one datagram with its default buffers.
const maxEntry = 64 << 10

// Send writes one entry. Fields without a value are left out; names are capitals, digits and underscores.
func (j *Journal) Send(fields map[string]string) error {
	if j.conn == nil {
		return nil
	}
	entry := formatEntry(fields)
	if len(entry) > maxEntry {
		return fmt.Errorf("systemd journal: an entry of %d bytes is too long", len(entry))
	}
	if _, err := j.conn.Write(entry); err != nil {
		return fmt.Errorf("systemd journal: %w", err)
	}
	return nil
}

// Close lets go of the connection.
func (j *Journal) Close() error {
	if j.conn == nil {
		return nil
	}
	return j.conn.Close()
}

// formatEntry writes the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): NAME=value, and where the value has more
// than one line, its length first.
func formatEntry(fields map[string]string) []byte {
	var b bytes.Buffer
	names := make([]string, 0, len(fields))
	for name, value := range fields {
		if value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		value := fields[name]
		if !strings.Contains(value, "\n") {
			b.WriteString(name + "=" + value + "\n")
			continue
		}
		b.WriteString(name + "\n")
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
		b.WriteString(value + "\n")
	}
	return b.Bytes()
}
