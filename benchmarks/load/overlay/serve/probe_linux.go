// Package serve is what the measured services have beside the one of the
// examples: a socket at which they say how they are.
package serve

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() {
	path := os.Getenv("PROBE")
	if path == "" {
		return
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(probe), ReadHeaderTimeout: time.Minute}
	server.SetKeepAlivesEnabled(false)
	go func() { log.Fatal(server.Serve(ln)) }()
}

// probe answers with the state of the process; with ?gc, after collecting all
// garbage.
func probe(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("gc") {
		runtime.GC()
		runtime.GC() // the second one sweeps what the first has found
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	_ = json.NewEncoder(w).Encode(map[string]int64{
		"goroutines": int64(runtime.NumGoroutine()),
		"heap":       int64(m.HeapAlloc), // #nosec G115 -- no heap is that large
		"cpu":        u.Utime.Nano() + u.Stime.Nano(),
		"resident":   resident(),
	})
}

// resident returns the bytes of memory that the process has.
func resident() int64 {
	statm, _ := os.ReadFile("/proc/self/statm")
	if fields := strings.Fields(string(statm)); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}
