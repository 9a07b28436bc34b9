//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprint(os.Stderr, usage, "\nThis is no Linux.\n")
	os.Exit(1)
}
