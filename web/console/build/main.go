// Command build makes dist out of src: it bundles and shrinks TypeScript and styles by esbuild, which is a Go package, so
// that no Node is needed. The packages that src imports must be in build/npm/node_modules (`make console` fetches them).
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	c := Config{}
	flag.StringVar(&c.Source, "source", "web/console", "folder of the console")
	flag.StringVar(&c.Packages, "packages", "build/npm/node_modules", "folder of the npm packages")
	flag.StringVar(&c.Output, "output", "web/console/dist", "where to put what is made")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

func run(c Config) error {
	types, err := Types()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Source+"/"+TypesFile, types, 0o644); err != nil {
		return err
	}
	files, err := Bundle(c)
	if err != nil {
		return err
	}
	return files.Write(c.Output)
}
