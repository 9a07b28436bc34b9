package process_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

func TestFreeAddrGivesNoAddressTwice(t *testing.T) {
	given := map[string]bool{}
	for range 500 {
		addr := process.FreeAddr(t)
		require.False(t, given[addr], addr)
		given[addr] = true
	}
}
