package flaskapp

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// parseTarget returns the URL that the query of a request names.
//
// A URL that is written as it is, the way one types it, cannot be told from
// what comes after it in the query, because it may have parameters of its own:
// it is all that follows, byte for byte, so that a URL within a URL within a
// URL means the same at every step:
//
//	url=http://flaskapp/fetch?url=http://httpbin:8000/get?a=1&b=2
//
// An escaped one (http%3A%2F%2F…), as libraries write it, is a parameter like
// any other: it ends at the next & and is unescaped once.
func parseTarget(rawQuery string) (*url.URL, error) {
	raw := findTarget(rawQuery)
	if !isAbsolute(raw) {
		raw, _, _ = strings.Cut(raw, "&")
		plain, err := url.QueryUnescape(raw)
		if err != nil {
			return nil, fmt.Errorf("cannot read the URL to fetch: %w", err)
		}
		raw = plain
	}
	if raw == "" {
		return nil, errors.New("no URL to fetch: add ?url=http://…")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the URL to fetch: %w", err)
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("cannot fetch %q: %w", u.Redacted(), err)
	}
	return u, nil
}

// findTarget returns what follows url= where a parameter of the query begins
// with it, or "".
func findTarget(rawQuery string) string {
	for rest := rawQuery; rest != ""; {
		if value, ok := strings.CutPrefix(rest, "url="); ok {
			return value
		}
		_, rest, _ = strings.Cut(rest, "&")
	}
	return ""
}

func isAbsolute(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}
