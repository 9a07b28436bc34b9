package flaskapp

import "io"

// ParseTarget is for the tests of what is a URL to fetch.
var ParseTarget = parseTarget

// Decode is decode with a limit on what it returns.
func Decode(coding string, body io.Reader, limit int64, above error) (io.Reader, error) {
	r, err := decode(coding, body)
	return &capped{r, limit, above}, err
}
