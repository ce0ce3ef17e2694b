package access

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// Size of the audit log: one file that is written and those before it. A record has some 400 bytes, so that
// 40 MiB hold 100,000 changes.
const (
	auditBytes = 8 << 20
	auditFiles = 5
	maxRecord  = 256 << 10 // bytes of one line
)

// AuditFile is an Audit in files of one host: PATH is written, PATH.1 was before it, and so on.
type AuditFile struct {
	path string
	size int64 // at which a file is full

	mu   sync.Mutex // guards what follows
	last uint64     // ID
	file *os.File   // nil until the first record
}

// NewAuditFile keeps records at path. It opens nothing before there is one.
func NewAuditFile(path string) *AuditFile { return &AuditFile{path: path, size: auditBytes} }

// Add implements Audit. The record is on the disk when it returns: changes are rare, and the one after which
// the power failed is the one that matters.
func (a *AuditFile) Add(r Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	r.ID = a.last + 1
	line, err := json.Marshal(r)
	if err == nil && len(line) >= maxRecord {
		r.Before, r.After, r.Reason = nil, nil, "values left out: they are too large"
		line, err = json.Marshal(r)
	}
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	if _, err := a.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("audit log: %w: is the disk full?", err)
	}
	a.last = r.ID
	if err := a.file.Sync(); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return a.rotate()
}

// open opens the file and finds the last ID. Half a line that a crash left is ended.
func (a *AuditFile) open() error {
	if a.file != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(a.path), 0o700); err != nil {
		return err
	}
	for i := range auditFiles {
		if records, err := readRecords(a.name(i)); err == nil && len(records) > 0 {
			a.last = max(a.last, records[len(records)-1].ID)
			break
		}
	}
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	end := make([]byte, 1)
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		if _, err := f.ReadAt(end, info.Size()-1); err == nil && end[0] != '\n' {
			_, _ = f.WriteString("\n") // the next write fails as well, and tells
		}
	}
	a.file = f
	return nil
}

func (a *AuditFile) name(i int) string {
	if i == 0 {
		return a.path
	}
	return a.path + "." + strconv.Itoa(i)
}

// rotate begins another file when this one is full, and gives up the oldest.
func (a *AuditFile) rotate() error {
	info, err := a.file.Stat()
	if err != nil || info.Size() < a.size {
		return err
	}
	err = a.file.Close()
	a.file = nil
	for i := auditFiles - 1; i > 0; i-- {
		if e := os.Rename(a.name(i-1), a.name(i)); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// List implements Audit.
func (a *AuditFile) List(before uint64, limit int, match func(Record) bool) (list []Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range auditFiles {
		records, err := readRecords(a.name(i))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return list, fmt.Errorf("audit log: %w", err)
		}
		for _, r := range slices.Backward(records) {
			if len(list) == limit {
				return list, nil
			}
			if (before == 0 || r.ID < before) && match(r) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// Close lets the file go.
func (a *AuditFile) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}

// readRecords reads one file and leaves out lines that are none, as a crash leaves them.
func readRecords(path string) (records []Record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReaderSize(f, maxRecord)
	for {
		line, err := lines.ReadSlice('\n')
		var r Record
		if len(bytes.TrimSpace(line)) > 0 && json.Unmarshal(line, &r) == nil {
			records = append(records, r)
		}
		switch {
		case errors.Is(err, io.EOF):
			return records, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return records, err
		}
	}
}
