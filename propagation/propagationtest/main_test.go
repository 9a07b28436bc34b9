package propagationtest_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at once than there are processors: most of them
// wait for what never comes.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // -parallel, which is read later, overrides it
	os.Exit(m.Run())
}
