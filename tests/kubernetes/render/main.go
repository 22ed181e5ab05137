// Renders a chart's templates for the tests with Go's own template engine, which is Helm's, and the few functions that
// the chart uses. Debian has no Helm. Use: main CHART VALUES.json, where VALUES.json has Release and Values.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

func main() {
	var given map[string]any
	text, err := os.ReadFile(os.Args[2])
	check(err)
	check(json.Unmarshal(text, &given))
	functions := template.FuncMap{
		"quote":     func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
		"splitList": func(by, text string) []string { return strings.Split(text, by) },
		"toJson": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
		"required": func(why string, value any) (any, error) {
			if value == nil || value == "" {
				return nil, errors.New(why)
			}
			return value, nil
		},
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "templates", "*.yaml"))
	check(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		parsed, err := template.New(file).Option("missingkey=error").Funcs(functions).Parse(string(text))
		check(err)
		fmt.Println("---")
		check(parsed.Execute(os.Stdout, given))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
