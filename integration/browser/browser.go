// Package browser drives the Jaeger UI in a headless Chromium, the way its
// users do.
package browser

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = 2 * time.Minute

// names are those of the browser's program, where systems have it.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// UI is a Jaeger UI in a browser of its own.
//
// A test that uses one fails at its end if the page logged an error, threw an
// exception, or asked any other server for anything.
type UI struct {
	ctx  context.Context
	base string

	mu       sync.Mutex
	problems []string
}

// Open starts a browser for the UI at base, an address such as
// http://127.0.0.1:16686, which the end of the test closes. Where there is no
// Chromium the test is skipped, and fails in CI.
func Open(t testing.TB, base string) *UI {
	t.Helper()
	program := ""
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		const what = "no browser: install chromium"
		if os.Getenv("CI") != "" {
			require.FailNow(t, what)
		}
		t.Skip(what)
	}

	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program),
		chromedp.WSURLReadTimeout(patience),
		chromedp.NoSandbox, // as root there is none, and nothing but our own pages is opened
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	})
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() { assert.NoError(t, chromedp.Cancel(ctx), "close the browser") })

	ui := &UI{ctx: ctx, base: base}
	require.NoError(t, chromedp.Listen(ctx, ui.watch), "start the browser")
	t.Cleanup(func() {
		ui.mu.Lock()
		defer ui.mu.Unlock()
		assert.Empty(t, ui.problems, "what went wrong in the browser")
	})
	ui.Viewport(t, 1280, 800)
	return ui
}

// watch notes what a user would see in the browser's console.
func (ui *UI) watch(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		ui.problem("exception: %v", &chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails})
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			var text []string
			for _, arg := range e.Args {
				text = append(text, cmp.Or(string(arg.Value), arg.Description))
			}
			ui.problem("console: %s", strings.Join(text, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			ui.problem("log: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || (u.Scheme == "http" || u.Scheme == "https") && "http://"+u.Host != ui.base {
			ui.problem("request to elsewhere: %s", e.Request.URL)
		}
	}
}

func (ui *UI) problem(format string, args ...any) {
	ui.mu.Lock()
	defer ui.mu.Unlock()
	ui.problems = append(ui.problems, fmt.Sprintf(format, args...))
}

// Viewport sets the size of the page, in pixels of its own. Screenshots have
// twice as many.
func (ui *UI) Viewport(t testing.TB, width, height int64) {
	t.Helper()
	ui.do(t, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(2)))
}

// Screenshot writes what is to be seen to NAME.png in the folder that the
// environment variable SCREENSHOTS names. Without one it does nothing.
func (ui *UI) Screenshot(t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	png := run(ui, t, chromedp.CaptureScreenshot())
	file := filepath.Join(dir, name+".png")
	require.NoError(t, os.MkdirAll(dir, 0o750))        // #nosec G703 -- whoever runs the test says where
	require.NoError(t, os.WriteFile(file, png, 0o600)) // #nosec G703
}

// visit opens a page of the UI.
func (ui *UI) visit(t testing.TB, path string) {
	t.Helper()
	ui.do(t, chromedp.Navigate(ui.base+path))
}

func (ui *UI) do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ui.ctx, patience)
	defer cancel()
	ui.check(t, chromedp.Do(ctx, steps...))
}

func run[T any](ui *UI, t testing.TB, step chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ui.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, step)
	ui.check(t, err)
	return v
}

// poll waits until the expression is true in the page, and returns its value.
func poll[T any](expression string) chromedp.Action[T] {
	// No limit but the one of do and run: its own would be 30 seconds.
	return chromedp.Poll[T](expression, chromedp.WithPollingTimeout(0))
}

// check fails the test with what is to be read on the page if there is an
// error.
func (ui *UI) check(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ui.ctx, patience)
	defer cancel()
	text, textErr := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	require.NoError(t, err, "the page says: %q %v", text, textErr)
}
