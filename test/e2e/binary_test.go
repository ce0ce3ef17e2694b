package e2e

import (
	"bytes"
	"os"
	"testing"
)

// TestBinaryHasNoTemplates keeps the linker able to leave out what nobody calls: a template may call any method of any type by its
// name, so a program that executes one has them all, which is a quarter more and too much for the image.
func TestBinaryHasNoTemplates(t *testing.T) {
	if binary == "" {
		t.Skip("needs DRAWBRIDGE_BIN or root")
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(program, []byte("text/template.(*Template).Execute")) {
		t.Error("the binary executes a text/template: go build -ldflags=-dumpdep ./cmd/drawbridge says for whom")
	}
}
