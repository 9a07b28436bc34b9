package relayvet_test

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// snippets finds the headings of the page, and the code under them.
var snippets = regexp.MustCompile("(?ms)^## (\\w+)$|^```go\n(.*?)^```$")

// qualifiers are the packages that the page's snippets use.
var qualifiers = map[string]string{
	"http": "net/http", "context": "context", "gin": "github.com/gin-gonic/gin", "pb": "example.com/shop/pb",
	"middleware": "github.com/tracebaton/tracebaton/middleware",
	"otelhttp":   "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
}

func TestThePageShowsALossAndItsMendingForEachCategory(t *testing.T) {
	page, err := os.ReadFile("../docs/relayvet.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the page is not in the module")
	}
	category, shown := "", map[string]int{}
	for _, m := range snippets.FindAllStringSubmatch(string(page), -1) {
		if m[1] != "" {
			category = m[1]
			continue
		}
		src := "package page\n"
		for name, path := range qualifiers {
			if regexp.MustCompile(`\b` + name + `\.`).MatchString(m[2]) {
				src += "import \"" + path + "\"\n"
			}
		}
		found, errs := check(t, "page.go", []byte(src+m[2]))
		for _, err := range errs {
			t.Errorf("%s: %v", category, err)
		}
		bad := strings.HasPrefix(m[2], "// bad")
		switch {
		case bad && (len(found) != 1 || found[0].Category != category):
			t.Errorf("%s: the bad snippet is reported as %v", category, found)
		case !bad && len(found) > 0:
			t.Errorf("%s: the good snippet is reported as %v", category, found)
		}
		if bad {
			shown[category]++
		}
	}
	for _, c := range []string{"send", "through", "gin", "loop", "wiring", "dynamic", "late", "unfollowed"} {
		if shown[c] != 1 {
			t.Errorf("%s: %d losses shown, want 1", c, shown[c])
		}
	}
}
