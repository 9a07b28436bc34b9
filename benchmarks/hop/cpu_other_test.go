//go:build !unix

package hop_test

import "time"

func cpu() time.Duration { return 0 }
