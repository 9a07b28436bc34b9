package flaskapp

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tracebaton/tracebaton/examples/internal/egress"
)

// Help describes what FromEnv reads.
const Help = `  FETCH_ALLOW           what may be fetched beside private addresses: names, *.names,
                        addresses and ranges, separated by commas
  FETCH_MAX_BYTES       size of an answer in bytes, default 10485760
  FETCH_TIMEOUT         time for a fetch, such as 10s, default 30s
  FETCH_MAX_REDIRECTS   redirects to follow, default 10
`

// FromEnv returns the Config that the environment describes, without Tracing
// and Logger.
func FromEnv(getenv func(string) string) (Config, error) {
	policy, err := egress.Parse(getenv("FETCH_ALLOW"))
	if err != nil {
		return Config{}, fmt.Errorf("read FETCH_ALLOW: %w", err)
	}
	cfg := Config{Dialer: &egress.Dialer{Policy: policy}}
	if s := getenv("FETCH_MAX_BYTES"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 {
			return Config{}, fmt.Errorf("read FETCH_MAX_BYTES: %q is no number of bytes above 0", s)
		}
		cfg.Limits.Bytes = n
	}
	if s := getenv("FETCH_TIMEOUT"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return Config{}, fmt.Errorf("read FETCH_TIMEOUT: %q is no duration such as 10s", s)
		}
		cfg.Limits.Time = d
	}
	if s := getenv("FETCH_MAX_REDIRECTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return Config{}, fmt.Errorf("read FETCH_MAX_REDIRECTS: %q is no number of redirects", s)
		}
		cfg.Limits.Redirects = n
		if n == 0 {
			cfg.Limits.Redirects = -1
		}
	}
	return cfg, nil
}
