package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands are all that people see, with the path below the program's name.
func commands() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		all[path] = c
		for _, sub := range children(c) {
			walk(sub, strings.TrimSpace(path+" "+sub.Name()))
		}
	}
	walk(newTool(nil, nil, nil).root(), "")
	return all
}

// wantsMore reports whether a command is more than its name: it has arguments, or flags of its own.
func wantsMore(c *cobra.Command) bool {
	_, group := c.Annotations[onlyGroup]
	own := 0
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains([]string{"json", "watch", "help", "limit", "find"}, f.Name) {
			own++
		}
	})
	return !group && (own > 0 || strings.ContainsAny(c.Use, " "))
}

func TestHelpSaysWhatACommandIsFor(t *testing.T) {
	for path, c := range commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 130 {
			t.Errorf("%s: %q is no summary of one line", path, c.Short)
		}
		if strings.HasPrefix(c.Long, c.Short) {
			t.Errorf("%s says its summary twice: the rest goes on where it ends", path)
		}
		if wantsMore(c) && path != "version" && c.Example == "" {
			t.Errorf("%s has arguments or flags, and no example (help.go)", path)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "duration" && !strings.Contains(f.Usage, "such as") {
				t.Errorf("%s --%s takes a length of time and shows none: %q", path, f.Name, f.Usage)
			}
		})
	}
	for _, texts := range []map[string]bool{keys(examples), keys(more)} {
		for path := range texts {
			if commands()[path] == nil {
				t.Errorf("there is no %q to say more about", path)
			}
		}
	}
}

func keys[V any](m map[string]V) map[string]bool {
	all := map[string]bool{}
	for k := range m {
		all[k] = true
	}
	return all
}

// Every line that begins with the program's name is read as the command would read it; at least one is its own.
func TestExamplesAreCommandLines(t *testing.T) {
	for path, lines := range examples {
		own := path == ""
		for _, line := range lines {
			words, isOurs := strings.CutPrefix(line, "drawbridge ")
			if _, after, piped := strings.Cut(line, "| drawbridge "); piped {
				words, isOurs = after, true
			}
			if !isOurs {
				continue
			}
			c, rest, err := newTool(nil, nil, nil).root().Find(shellWords(words))
			if err == nil && !c.DisableFlagParsing {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err == nil {
				err = c.ValidateRequiredFlags()
			}
			if err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
				continue
			}
			own = own || c.CommandPath() == "drawbridge "+path
		}
		if !own {
			t.Errorf("%s has no example of its own", path)
		}
	}
}

// shellWords are those of the first command of a line, its redirections left out.
func shellWords(line string) (words []string) {
	var word strings.Builder
	quoted, begun := false, false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case !quoted && r == '|':
			end()
			return words
		case !quoted && r == ' ':
			end()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end()
	return slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, ">") || strings.HasPrefix(w, "<") })
}

func TestHelpBeginsWithTheSummary(t *testing.T) {
	for _, path := range []string{"status", "doctor", "config", "capture"} {
		var out bytes.Buffer
		if code := newTool(nil, &out, &out).run(t.Context(), append(strings.Fields(path), "--help")); code != exitDone {
			t.Errorf("%s --help: exit code %d", path, code)
		}
		c := commands()[path]
		if want := c.Short + ".\n\n" + c.Long + "\n\nUsage:"; !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s --help begins with\n%.300s\nwant\n%s", path, out.String(), want)
		}
	}
}
