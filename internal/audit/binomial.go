package audit

import "math"

// atLeast returns P[Bin(n, p) >= h].
func atLeast(h, n int, p float64) float64 {
	switch {
	case h <= 0:
		return 1
	case h > n || p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	return incompleteBeta(float64(h), float64(n-h+1), p)
}

// atMost returns P[Bin(n, p) <= h].
func atMost(h, n int, p float64) float64 {
	switch {
	case h >= n:
		return 1
	case h < 0 || p >= 1:
		return 0
	case p <= 0:
		return 1
	}
	return incompleteBeta(float64(n-h), float64(h+1), 1-p)
}

// incompleteBeta returns the regularized incomplete beta function, by Lentz's
// way through its continued fraction (NIST Digital Library of Mathematical
// Functions, 8.17.22).
func incompleteBeta(a, b, x float64) float64 {
	ab, _ := math.Lgamma(a + b)
	ga, _ := math.Lgamma(a)
	gb, _ := math.Lgamma(b)
	front := math.Exp(ab - ga - gb + a*math.Log(x) + b*math.Log1p(-x))
	if x >= (a+1)/(a+b+2) {
		return max(0, 1-front*fraction(b, a, 1-x)/b)
	}
	return min(1, front*fraction(a, b, x)/a)
}

func fraction(a, b, x float64) float64 {
	const tiny, steps = 1e-300, 100_000 // it takes about sqrt(max(a, b)) steps
	nonzero := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1))
	f := d
	for m := 1.0; m < steps; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/nonzero(1+even*d), nonzero(1+even/c)
		f *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/nonzero(1+odd*d), nonzero(1+odd/c)
		f *= d * c
		if math.Abs(d*c-1) < 1e-12 {
			break
		}
	}
	return f
}
