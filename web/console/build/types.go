package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// TypesFile is the API in TypeScript.
const TypesFile = "src/api.gen.ts"

const prefix = "/api/v1"

// The parts of the OpenAPI document that types are made of.
type (
	schema struct {
		Ref         string             `json:"$ref"`
		Type        any                `json:"type"`
		Description string             `json:"description"`
		Enum        []any              `json:"enum"`
		Items       *schema            `json:"items"`
		Properties  map[string]*schema `json:"properties"`
		Required    []string           `json:"required"`
		Additional  any                `json:"additionalProperties"`
	}
	content   map[string]struct{ Schema *schema }
	operation struct {
		Summary     string
		RequestBody *struct{ Content content }
		Responses   map[string]struct{ Content content }
	}
	document struct {
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]*schema }
	}
)

// Types writes the API as TypeScript: an interface for every schema, and for every operation what it takes and gives. The
// page calls the API only by these names, so a path that does not exist does not compile.
func Types() ([]byte, error) {
	d, err := describe()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("// Made from the OpenAPI document by `make console`; do not edit.\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		writeInterface(&out, name, d.Components.Schemas[name])
	}
	out.WriteString("\n/** What a GET answers, and streams when asked to. */\nexport interface Reads {\n")
	for _, p := range slices.Sorted(maps.Keys(d.Paths)) {
		if op, ok := d.Paths[p]["get"]; ok {
			if answer := answerOf(op); answer != "" {
				fmt.Fprintf(&out, "  %q: %s; // %s\n", strings.TrimPrefix(p, prefix), answer, op.Summary)
			}
		}
	}
	out.WriteString("}\n\n/** Changes: what they take and what they answer. */\nexport interface Changes {\n")
	for _, p := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[p])) {
			if op := d.Paths[p][method]; method != "get" {
				fmt.Fprintf(&out, "  %q: { takes: %s; gives: %s }; // %s\n",
					strings.ToUpper(method)+" "+strings.TrimPrefix(p, prefix), takenBy(op), orVoid(answerOf(op)), op.Summary)
			}
		}
	}
	out.WriteString("}\n\n/** Answers that are no JSON. */\nexport type Downloads =")
	for _, p := range slices.Sorted(maps.Keys(d.Paths)) {
		if op, ok := d.Paths[p]["get"]; ok && answerOf(op) == "" {
			fmt.Fprintf(&out, " | %q", strings.TrimPrefix(p, prefix))
		}
	}
	out.WriteString(";\n")
	return out.Bytes(), nil
}

// describe asks the API for its own description.
func describe() (d document, err error) {
	answer := httptest.NewRecorder()
	web.New(webtest.New(), slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, prefix+"/openapi.json", nil))
	if answer.Code != http.StatusOK {
		return d, fmt.Errorf("OpenAPI document: status %d: %s", answer.Code, answer.Body)
	}
	return d, json.Unmarshal(answer.Body.Bytes(), &d)
}

func writeInterface(out *bytes.Buffer, name string, s *schema) {
	fmt.Fprintf(out, "\nexport interface %s {\n", name)
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		p, optional := s.Properties[field], ""
		if !slices.Contains(s.Required, field) {
			optional = "?"
		}
		if p.Description != "" {
			fmt.Fprintf(out, "  /** %s */\n", strings.ReplaceAll(p.Description, "*/", "* /"))
		}
		fmt.Fprintf(out, "  %s%s: %s;\n", field, optional, typeOf(p))
	}
	out.WriteString("}\n")
}

func typeOf(s *schema) string {
	switch {
	case s == nil:
		return "unknown"
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case len(s.Enum) > 0:
		var words []string
		for _, e := range s.Enum {
			text, _ := json.Marshal(e) // it came from JSON
			words = append(words, string(text))
		}
		return strings.Join(words, " | ")
	}
	switch t := s.Type.(type) {
	case string:
		return plainType(t, s)
	case []any: // OpenAPI 3.1: one of several, as ["string", "null"]
		var all []string
		for _, one := range t {
			all = append(all, plainType(fmt.Sprint(one), s))
		}
		return strings.Join(all, " | ")
	}
	return "unknown"
}

func plainType(t string, s *schema) string {
	switch t {
	case "integer", "number":
		return "number"
	case "array":
		if item := typeOf(s.Items); !strings.Contains(item, " ") {
			return item + "[]"
		}
		return "(" + typeOf(s.Items) + ")[]"
	case "object":
		values, _ := s.Additional.(map[string]any)
		switch values["type"] {
		case "integer", "number":
			return "Record<string, number>"
		case "string":
			return "Record<string, string>"
		}
		return "Record<string, unknown>"
	}
	return t // string, boolean, null
}

// answerOf is the JSON that an operation gives; empty: none.
func answerOf(op operation) string {
	for _, code := range []string{"200", "201", "202"} {
		if json, ok := op.Responses[code].Content["application/json"]; ok {
			return typeOf(json.Schema)
		}
	}
	return ""
}

func takenBy(op operation) string {
	if op.RequestBody == nil {
		return "void"
	}
	return typeOf(op.RequestBody.Content["application/json"].Schema)
}

func orVoid(t string) string {
	if t == "" {
		return "void"
	}
	return t
}
