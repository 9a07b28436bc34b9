package flaskapp

// ParseTarget is for the tests of what is a URL to fetch.
var ParseTarget = parseTarget
