package main

import (
	"crypto/rand"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// newEnv returns the process's own.
func newEnv() env {
	fd := int(os.Stdout.Fd())
	width, _, err := term.GetSize(fd)
	if err != nil {
		width = 0
	}
	return env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, random: rand.Reader,
		color: colored(term.IsTerminal(fd), os.Getenv), width: width,
	}
}

// colored reports whether there is colour: on a terminal whose user has not
// said otherwise (https://no-color.org).
func colored(terminal bool, getenv func(string) string) bool {
	return terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

type style string

const (
	red   style = "31"
	green style = "32"
	amber style = "33"
	faint style = "2"
	bold  style = "1"
)

func (e env) paint(s style, text string) string {
	if !e.color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// printable returns what came from the network such that it cannot control the
// terminal.
func printable(s string) string {
	for _, c := range s {
		if !strconv.IsPrint(c) {
			q := strconv.Quote(s)
			return q[1 : len(q)-1]
		}
	}
	return s
}

// shorten leaves out the middle of a long text.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

// firstLine returns what an answer says first: the title, if it is a page.
func firstLine(s string) string {
	if lower := strings.ToLower(s); strings.Contains(lower, "<html") || strings.HasPrefix(strings.TrimSpace(lower), "<!doctype html") {
		if _, after, ok := strings.Cut(lower, "<title>"); ok {
			title, _, _ := strings.Cut(s[len(s)-len(after):], "<")
			s = strings.Join(strings.Fields(title), " ")
		} else {
			s = strings.Join(strings.Fields(tags.ReplaceAllString(s, " ")), " ")
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return printable(shorten(line, 120))
}

var tags = regexp.MustCompile(`(?s)<[^>]*>`)
