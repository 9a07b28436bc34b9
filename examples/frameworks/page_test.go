package frameworks_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const page = "../../docs/frameworks.md"

// A section of the page is about the programs of one folder.
type section struct {
	title, folder string
	lines         []string // those that are not blank
	snippets      []string
}

var (
	folderLink = regexp.MustCompile(`\(\.\./examples/frameworks/(\w+)\)`)
	inlineCode = regexp.MustCompile("`([^`]+)`")
)

// sections returns the sections of the page, and its table's rows by the titles
// that they link to.
func sections(t *testing.T) (all []*section, rows map[string][]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	rows = make(map[string][]string)
	var s *section
	code := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "## "):
			s = &section{title: strings.TrimPrefix(line, "## ")}
			all = append(all, s)
		case s == nil:
			if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| [") && len(cells) == 4 {
				_, anchor, _ := strings.Cut(cells[0], "(#")
				rows[strings.TrimSuffix(anchor, ")")] = cells
			}
		case line == "```go":
			code = true
			s.snippets = append(s.snippets, "")
		case line == "```":
			code = false
		case line != "":
			s.lines = append(s.lines, line)
			if code {
				s.snippets[len(s.snippets)-1] += line + "\n"
			} else if link := folderLink.FindStringSubmatch(line); link != nil {
				s.folder = link[1]
			}
		}
	}
	return all, rows
}

// program returns the lines of the folder's program without their indentation.
func program(t *testing.T, folder string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "main.go"))
	require.NoError(t, err)
	return flush(string(text))
}

func flush(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	return b.String()
}

// anchor returns what a link to the title on the page is called.
func anchor(title string) string {
	title = strings.ReplaceAll(strings.ToLower(title), " ", "-")
	return regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(title, "")
}

func TestEverySnippetOfThePageIsCodeOfItsProgram(t *testing.T) {
	all, rows := sections(t)
	require.NotEmpty(t, all)
	assert.Len(t, rows, len(all), "a row for each section")
	for _, s := range all {
		t.Run(s.title, func(t *testing.T) {
			assert.NotEmpty(t, s.snippets)
			assert.LessOrEqual(t, len(s.lines), 15, "lines that are not blank")
			code := program(t, s.folder)
			for _, snippet := range s.snippets {
				assert.Contains(t, code, flush(snippet))
			}
			row := rows[anchor(s.title)]
			require.NotNil(t, row, "the table has no row that links to #%s", anchor(s.title))
			for _, cell := range row[1:3] {
				for _, line := range inlineCode.FindAllStringSubmatch(cell, -1) {
					assert.Contains(t, code, line[1])
				}
			}
		})
	}
}

func TestEveryProgramIsOnThePage(t *testing.T) {
	all, _ := sections(t)
	onPage := make(map[string]bool)
	for _, s := range all {
		onPage[s.folder] = true
	}
	programs, err := fs.Glob(os.DirFS("."), "*/main.go")
	require.NoError(t, err)
	require.NotEmpty(t, programs)
	for _, name := range programs {
		assert.True(t, onPage[filepath.Dir(name)], "%s is in no section", name)
		_, err := os.Stat(filepath.Join(filepath.Dir(name), "main_test.go"))
		assert.NoError(t, err)
	}
}
