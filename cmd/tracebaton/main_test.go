package main

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at once than there are processors: many of them
// wait for what never comes. How many inputs are fuzzed at once stays.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := flag.Lookup("test.fuzz").Value.String() != ""
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", "4")
	}
	os.Exit(m.Run())
}
