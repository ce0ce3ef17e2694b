package ipam

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var columns = []string{"address", "use", "owner", "until", "peer"}

// WriteCSV writes rows under a line of column names (RFC 4180).
func WriteCSV(w io.Writer, rows []Row) error {
	c := csv.NewWriter(w)
	lines := [][]string{columns}
	for _, r := range rows {
		until := ""
		if !r.Until.IsZero() {
			until = r.Until.Format(time.RFC3339)
		}
		lines = append(lines, []string{r.Addr.String(), r.Use, escaped(r.Owner), until, escaped(r.Peer)})
	}
	return c.WriteAll(lines)
}

// WriteJSON writes rows as one array.
func WriteJSON(w io.Writer, rows []Row) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(append([]Row{}, rows...)) // an empty array rather than null
}

// escaped keeps a spreadsheet from calculating a cell that a guest may have chosen: an apostrophe makes it text.
func escaped(s string) string {
	if calculates(s) {
		return "'" + s
	}
	return s
}

// unescaped takes back what escaped did.
func unescaped(s string) string {
	if strings.HasPrefix(s, "'") && calculates(s) {
		return s[1:]
	}
	return s
}

func calculates(s string) bool {
	s = strings.TrimLeft(s, "'")
	return s != "" && strings.ContainsRune("=+-@", rune(s[0]))
}

// Problem is one thing that is wrong with a file of addresses.
type Problem struct {
	Line int // from 1; 0: the file as a whole
	Err  error
}

func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Err.Error()
	}
	return fmt.Sprintf("line %d: %v", p.Line, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// ErrFile says that text is no file of addresses.
var ErrFile = errors.New("not a file of addresses")

func problem(line int, format string, args ...any) error {
	return Problem{line, fmt.Errorf("%w: %w", fmt.Errorf(format, args...), ErrFile)}
}

// MaxRows bounds a file of addresses; rows of a whole /16 are fewer.
const MaxRows = 100_000

// ReadRows reads what WriteCSV or WriteJSON wrote, or somebody by hand: address and owner are enough, columns of CSV
// may be in any order and there may be others. Every error is a Problem.
func ReadRows(text []byte) (rows []Row, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as spreadsheets begin their files
	if !utf8.Valid(text) {
		return nil, problem(0, "the file is not UTF-8")
	}
	switch first := bytes.TrimSpace(text); {
	case len(first) == 0:
		err = problem(0, "the file is empty")
	case first[0] == '[':
		rows, err = readJSON(text)
	default:
		rows, err = readCSV(text)
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func readCSV(text []byte) (rows []Row, err error) {
	c := csv.NewReader(bytes.NewReader(text))
	c.TrimLeadingSpace = true
	at := map[string]int{}
	for {
		cells, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return rows, nil
		case err != nil:
			return nil, ofCSV(err)
		}
		line, _ := c.FieldPos(0)
		if len(at) == 0 {
			if at, err = titles(line, cells); err != nil {
				return nil, err
			}
			continue
		}
		row, err := cellsRow(cells, at)
		if err == nil {
			rows, err = added(rows, row, line)
		}
		if err != nil {
			return nil, problem(line, "%w", err)
		}
	}
}

// added are the rows with another one, of that line.
func added(rows []Row, row Row, line int) ([]Row, error) {
	if err := row.check(); err != nil {
		return nil, err
	}
	if len(rows) == MaxRows {
		return nil, fmt.Errorf("more than %d addresses: cut the file into several", MaxRows)
	}
	row.Line = line
	return append(rows, row), nil
}

// ofCSV is an error of encoding/csv as a Problem.
func ofCSV(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return problem(e.Line, "%w", e.Err)
	}
	return problem(0, "%w", err)
}

// titles is where the columns are, from 1.
func titles(line int, cells []string) (map[string]int, error) {
	at := map[string]int{}
	for i, name := range cells {
		name = strings.ToLower(strings.TrimSpace(name))
		if at[name] != 0 && slices.Contains(columns, name) {
			return nil, problem(line, "two columns are named %s", name)
		}
		at[name] = i + 1
	}
	if at["address"] == 0 || at["owner"] == 0 {
		return nil, problem(line, "the first line names the columns %q, want address and owner among them", cells)
	}
	return at, nil
}

func cellsRow(cells []string, at map[string]int) (r Row, err error) {
	field := func(name string) string {
		if at[name] == 0 {
			return ""
		}
		return cells[at[name]-1]
	}
	r = Row{Use: strings.TrimSpace(field("use")), Owner: unescaped(field("owner")), Peer: unescaped(field("peer"))}
	if r.Addr, err = netip.ParseAddr(strings.TrimSpace(field("address"))); err != nil {
		return r, fmt.Errorf("address: %w", err)
	}
	if until := strings.TrimSpace(field("until")); until != "" {
		if r.Until, err = time.Parse(time.RFC3339, until); err != nil {
			return r, fmt.Errorf("until %q: want a time such as 2030-12-31T23:59:59Z", until)
		}
	}
	return r, nil
}

func readJSON(text []byte) (rows []Row, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	_, err = d.Token() // [
	for line := 1; err == nil && d.More(); {
		at := int(d.InputOffset())
		at += max(0, bytes.IndexByte(text[at:], '{'))
		line = 1 + bytes.Count(text[:at], []byte("\n"))
		var row Row
		if err = d.Decode(&row); err == nil {
			rows, err = added(rows, row, line)
		}
		if err != nil {
			return nil, problem(line, "%w", err)
		}
	}
	if err == nil {
		_, err = d.Token() // ]
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the list has no end")
	}
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows the list")
	}
	if err != nil {
		return nil, problem(1+bytes.Count(text[:d.InputOffset()], []byte("\n")), "%w", err)
	}
	return rows, nil
}

// uses are the words of Use, and none for a row by hand.
var uses = []string{"", Mine.String(), Lent.String(), Offered.String(), Foreign.String(), Borrowed.String(), Returning.String()}

// check is what is wrong with a row by itself.
func (r *Row) check() error {
	switch {
	case !r.Addr.IsValid():
		return errors.New("there is no address")
	case r.Addr.Zone() != "" || r.Addr.Is4In6():
		return fmt.Errorf("address %v: want one such as 10.1.0.9 or fd00::9", r.Addr)
	case !slices.Contains(uses, r.Use):
		return fmt.Errorf("use %q: want one of %q", r.Use, uses[1:])
	case r.allocation() && (r.Owner == "" || len(r.Owner) > maxOwner):
		return fmt.Errorf("owner %q: want 1 to %d octets", r.Owner, maxOwner)
	}
	return nil
}

// allocation reports whether a guest has the address, so that the row can be given to Allocate.
func (r *Row) allocation() bool {
	return r.Use == "" || r.Use == Mine.String() || r.Use == Borrowed.String()
}
