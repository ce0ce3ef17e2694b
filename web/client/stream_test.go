package client

import (
	"errors"
	"strings"
	"testing"
)

func TestMessages(t *testing.T) {
	const text = ": hello\n\nid: 7\nevent: peer_up\ndata: {}\n\nevent: change\ndata:[1]\n\ndata: cut off"
	var got []string
	err := messages(strings.NewReader(text), func(m message) error {
		got = append(got, m.kind+"/"+m.id+"/"+string(m.data))
		return nil
	})
	if !errors.Is(err, ErrEnded) || strings.Join(got, " ") != "peer_up/7/{} change//[1]" {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("id: 1\ndata: {}\n\n")
	f.Add(":\n:x\nevent\n\ndata\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := messages(strings.NewReader(text), func(m message) error {
			if m.data == nil {
				t.Error("a message without data")
			}
			return nil
		})
		if !errors.Is(err, ErrEnded) {
			t.Errorf("ended with %v", err)
		}
	})
}
