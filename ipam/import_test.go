package ipam

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func anybody(drawbridge.PeerID) bool { return true }

// planned is why rows are refused; nil when they are not.
func planned(p *Peer, rows ...Row) error {
	var errs []error
	_, problems := p.Plan(p.now, rows, nil, anybody)
	for _, problem := range problems {
		errs = append(errs, problem)
	}
	return errors.Join(errs...)
}

func TestExportAndImport(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	one(p, Request{Subnet: p.Subnets()[0], Owner: "a, with a comma"})
	one(p, Request{Subnet: p.Subnets()[0], Owner: "b", For: time.Hour})
	one(p, Request{Subnet: p.Subnets()[0], Owner: "=1+1"})
	rows := p.List()
	for i := range rows {
		rows[i].Until = rows[i].Until.Truncate(time.Second)
	}
	var c, j bytes.Buffer
	if err := errors.Join(WriteCSV(&c, rows), WriteJSON(&j, rows)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.String(), "'=1+1") {
		t.Errorf("a spreadsheet would calculate what a guest chose:\n%s", c.String())
	}
	for _, text := range []*bytes.Buffer{&c, &j} {
		other := lone(t, "10.1.0.0/24")
		read, err := ReadRows(text.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		plan, problems := other.Plan(2, read, nil, anybody)
		if len(problems) > 0 || len(plan.Claims) != 3 || plan.Same != 0 {
			t.Fatalf("%+v, %v", plan, problems)
		}
		for _, c := range plan.Claims {
			if a := one(other, Request{Owner: c.Owner, Addr: c.Addr, For: c.For}); a.Err != nil || a.Addr != c.Addr || c.At != 1 {
				t.Errorf("%+v %+v", c, a)
			}
		}
		if plan, problems = other.Plan(3, read, nil, anybody); len(problems) > 0 || len(plan.Claims) > 0 || plan.Same != 3 {
			t.Errorf("a second time: %+v, %v", plan, problems)
		}
		for i := range read {
			read[i].Line = 0
		}
		if !reflect.DeepEqual(read, rows) {
			t.Errorf("wrote %+v\nread %+v", rows, read)
		}
	}
}

// TestFilesThatAreRefused has what is wrong with a file alone, and on which line that is said to be.
func TestFilesThatAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"":                                        "the file is empty",
		" \n":                                     "the file is empty",
		"\xff\xfe":                                "not UTF-8",
		"a,b\n":                                   "line 1: the first line",
		"address,owner,address\n":                 "line 1: two columns are named address",
		"address,owner\n10.1.0.9,x\nx,y\n":        "line 3: address",
		"address,owner\n10.1.0.9,x,y\n":           "line 2: wrong number of fields",
		"address,owner\n10.1.0.9,\n":              "line 2: owner",
		"address,owner\n\n\n10.1.0.9,\n":          "line 4: owner",
		"address,owner,until\n10.1.0.9,y,soon\n":  "line 2: until",
		"address,owner,use\n10.1.0.9,y,mine\n":    "line 2: use",
		"address,owner\nfe80::1%eth0,y\n":         "line 2: address",
		"address,owner\n\"10.1.0.9,y\n":           "line",
		"[\n{\"address\":\"10.1.0.9\"}]":          "line 2: owner",
		"[{\"address\":\"x\",\n\"owner\":\"y\"}]": "line 1: ",
		"[\n{\"address\":\"10.1.0.9\",\"owner\":\"y\"},\n{\"owner\":\"z\"}\n]": "line 3: there is no address",
		"[\n{\"address\":\"10.1.0.9\",\"owner\":\"y\",\"name\":1}]":            "line 2: ",
		"[\n{\"address\":\"10.1.0.9\",\"owner\":\"y\"}\n":                      "line 2: the list has no end",
		"[{\"address\":\"10.1.0.9\",\"owner\":\"y\"}]\n[]":                     "line 2: something follows",
	} {
		if rows, err := ReadRows([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: read %+v, %v; want %q", text, rows, err, says)
		}
	}
	rows, err := ReadRows([]byte("\ufeffOwner , ADDRESS, room\r\nprinter,10.1.0.9,4\r\n\"a\nb\", fd00::9 ,\r\n"))
	want := []Row{{Addr: netip.MustParseAddr("10.1.0.9"), Owner: "printer", Line: 2}, {Addr: netip.MustParseAddr("fd00::9"), Owner: "a\nb", Line: 3}}
	if err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("%+v, %v", rows, err)
	}
}

// TestPlanLooksAround has rows that this peer alone could not judge.
func TestPlanLooksAround(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	d := p.decided.clone()
	d.Number++
	other := Holder{2, 9}
	d.Members = append(d.Members, Member{Holder: other, Name: "b"})
	if err := p.Decide(2, d); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Donate(2, Donation{Subnet: p.Subnets()[0], To: "b", Count: 1}); err != nil {
		t.Fatal(err)
	}
	theirs := p.pools[0].ring.Addr(uint64(slices.IndexFunc(p.pools[0].ring.regs, func(r Register) bool { return r.Owner == other })) << p.pools[0].ring.BlockBits)
	free, soon := theirs.Next().Next(), time.Unix(1000, 0)
	around := []Row{
		{Addr: theirs, Use: "allocated", Owner: "x", Peer: "b"},
		{Addr: theirs.Next(), Use: "foreign", Owner: "a printer", Peer: "b"},
		{Addr: theirs.Next().Next().Next(), Use: "allocated", Owner: "short", Until: soon, Peer: "b"},
	}
	for _, c := range []struct {
		row   Row
		reach bool
		says  string // "": nothing to do; "2": to be claimed there
	}{
		{Row{Addr: theirs, Owner: "x"}, true, ""},
		{Row{Addr: theirs, Owner: "y"}, true, `is allocated to "x" at b`},
		{Row{Addr: theirs.Next(), Owner: "y"}, true, `is foreign to "a printer" at b`},
		{Row{Addr: free, Owner: "x"}, true, `"x" has ` + theirs.String() + " already, at b"},
		{Row{Addr: free, Owner: "y"}, true, "2"},
		{Row{Addr: free, Owner: "y"}, false, "in the space of b, which cannot be reached"},
		{Row{Addr: around[2].Addr, Owner: "short", Until: soon}, true, ""},
		{Row{Addr: around[2].Addr, Owner: "short", Until: soon.Add(time.Hour)}, true, "2"},
		{Row{Addr: around[2].Addr, Owner: "short"}, true, "2"},
		{Row{Addr: netip.MustParseAddr("10.1.0.255"), Owner: "y"}, true, "reserved"},
		{Row{Addr: netip.MustParseAddr("10.9.0.9"), Owner: "y"}, true, "no subnet"},
	} {
		plan, problems := p.Plan(2, []Row{c.row}, around, func(drawbridge.PeerID) bool { return c.reach })
		switch {
		case c.says == "" && len(problems) == 0 && plan.Same == 1:
		case c.says == "2" && len(problems) == 0 && len(plan.Claims) == 1 && plan.Claims[0].At == 2:
		case len(c.says) > 1 && len(problems) == 1 && strings.Contains(problems[0].Error(), c.says):
		default:
			t.Errorf("%+v: %+v, %v; want %q", c.row, plan, problems, c.says)
		}
	}
}

func FuzzReadRows(f *testing.F) {
	for _, s := range []string{
		"address,use,owner,until,peer\n10.1.0.9,allocated,\"a, b\",2030-01-01T00:00:00Z,c\n", "owner,address\n'=1,fd00::1\n", "\ufeffaddress,owner\r\n10.1.0.9,x\r\n",
		`[{"address":"10.1.0.9","use":"lent","owner":"x","until":"2030-01-01T00:00:00Z","peer":"b"},` + "\n{\"address\":\"fd00::1\",\"owner\":\"y\"}]", "[", "[null]", "\"", ",\n,",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := ReadRows(text)
		if err != nil {
			if _, ok := errors.AsType[Problem](err); !ok {
				t.Errorf("%q: %v is no Problem", text, err)
			}
			return
		}
		for i := range rows {
			if rows[i].Line < 1 || rows[i].Line > 1+bytes.Count(text, []byte("\n")) {
				t.Errorf("%q: line %d", text, rows[i].Line)
			}
			rows[i].Line, rows[i].Until = 0, rows[i].Until.Truncate(time.Second).UTC()
			if strings.Contains(rows[i].Owner+rows[i].Peer, "\r") || rows[i].Until.Year() > 9999 || rows[i].Until.Year() < 0 {
				return // CSV has no way to say these (RFC 4180, RFC 3339)
			}
		}
		for _, write := range []func(*bytes.Buffer) error{
			func(b *bytes.Buffer) error { return WriteCSV(b, rows) }, func(b *bytes.Buffer) error { return WriteJSON(b, rows) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			again, err := ReadRows(b.Bytes())
			for i := range again {
				again[i].Line = 0
			}
			if err != nil || !slices.EqualFunc(rows, again, func(x, y Row) bool {
				u := x.Until.Equal(y.Until)
				x.Until, y.Until = time.Time{}, time.Time{}
				return u && x == y
			}) {
				t.Fatalf("%q: %v\n%+v\n%+v", b.Bytes(), err, rows, again)
			}
		}
	})
}
