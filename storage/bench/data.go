package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

const (
	keyBytes = 16
	// valueBytesMin has room for what a value says of itself: the number of its entry and its version.
	valueBytesMin = 16
	textBytes     = 4 << 20
	// checkEach is how many values are read for each that is compared to its last byte; the others are known by their heads.
	checkEach = 16
)

// keyMaker writes the key of an entry. Different entries have different keys, and neighbours in number are none in order.
type keyMaker func(dst []byte, entry uint64)

// scatter is a bijection of 64-bit numbers without visible order: the finalizer of MurmurHash3.
func scatter(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func randomKey(dst []byte, entry uint64) {
	binary.BigEndian.PutUint64(dst, scatter(entry+1))
	binary.BigEndian.PutUint64(dst[8:], scatter(^entry))
}

// shuffle is a permutation of 0..n-1: a prime over n has no divisor in common with it.
func shuffle(i, n uint64) uint64 { return i * 2654435761 % n }

// prefixKey makes keys as applications have them, "users:0001234567", of n entries.
func prefixKey(n uint64) keyMaker {
	return func(dst []byte, entry uint64) {
		copy(dst, "users:0000000000")
		for i, x := keyBytes-1, shuffle(entry, n); x > 0; i, x = i-1, x/10 {
			dst[i] = byte('0' + x%10)
		}
	}
}

// text is what values are cut from: names that come again and again, as in JSON, and letters that follow from nothing. A block of
// such values is compressed to about half, somewhat less by what codes letters (gzip, zstd), somewhat more by what does not.
var text = makeText()

func makeText() []byte {
	names := []string{
		`","customer_id":"`, `","shipping_address":"`, `","updated_at":"2026-`, `","status":"delivered","total":"`,
		`","email":"customer.`, `@example.org","phone":"+49`, `","currency":"EUR","items":["`, `"],"warehouse":"central","shelf":"`,
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	rng := rand.New(rand.NewPCG(1, 2))
	made := make([]byte, 0, textBytes+64)
	for len(made) < textBytes {
		made = append(made, names[rng.IntN(len(names))]...)
		for range 18 + rng.IntN(24) {
			made = append(made, letters[rng.IntN(len(letters))])
		}
	}
	return made[:textBytes]
}

// bodyOf is what follows the head in a value of so many bytes.
func bodyOf(entry, version uint64, valueBytes int) []byte {
	n := valueBytes - valueBytesMin
	at := scatter(entry<<20^version) % uint64(textBytes-n)
	return text[at : at+uint64(n)]
}

// makeValue fills dst with the value of an entry's version.
func makeValue(dst []byte, entry, version uint64) {
	binary.LittleEndian.PutUint64(dst, entry)
	binary.LittleEndian.PutUint64(dst[8:], version)
	copy(dst[valueBytesMin:], bodyOf(entry, version, len(dst)))
}

// checkValue says what is wrong with a value that some version of entry should have.
func checkValue(value []byte, entry uint64, valueBytes int) error {
	if len(value) != valueBytes {
		return fmt.Errorf("entry %d has a value of %d bytes, not %d", entry, len(value), valueBytes)
	}
	if got := entryOf(value); got != entry {
		return fmt.Errorf("entry %d has the value of entry %d", entry, got)
	}
	version := binary.LittleEndian.Uint64(value[8:])
	if (entry^version)%checkEach == 0 && !bytes.Equal(value[valueBytesMin:], bodyOf(entry, version, valueBytes)) {
		return fmt.Errorf("entry %d has a wrong value for version %d", entry, version)
	}
	return nil
}

func entryOf(value []byte) uint64 { return binary.LittleEndian.Uint64(value) }

// zipf draws from 1..n with probabilities that fall as 1/k^s, s = 0.99 as in YCSB. It needs no table. Source: Hörmann and Derflinger,
// "Rejection-inversion to generate variates from monotone discrete distributions", 1996.
type zipf struct {
	n                   uint64
	first, last, accept float64
}

const zipfExponent = 0.99

func newZipf(n uint64) *zipf {
	z := &zipf{n: n}
	z.first = zipfArea(1.5) - 1
	z.last = zipfArea(float64(n) + 0.5)
	z.accept = 2 - zipfAreaInverse(zipfArea(2.5)-zipfWeight(2))
	return z
}

func zipfWeight(x float64) float64 { return math.Exp(-zipfExponent * math.Log(x)) }

// zipfArea is the integral of zipfWeight from 1 to x.
func zipfArea(x float64) float64 {
	return math.Expm1((1-zipfExponent)*math.Log(x)) / (1 - zipfExponent)
}

func zipfAreaInverse(a float64) float64 {
	return math.Exp(math.Log1p(a*(1-zipfExponent)) / (1 - zipfExponent))
}

func (z *zipf) draw(rng *rand.Rand) uint64 {
	for {
		u := z.last + rng.Float64()*(z.first-z.last)
		x := zipfAreaInverse(u)
		k := math.Floor(min(max(x+0.5, 1), float64(z.n)))
		if k-x <= z.accept || u >= zipfArea(k+0.5)-zipfWeight(k) {
			return uint64(k)
		}
	}
}

// entry draws an entry of 0..n-1; the popular ones are spread over all.
func (z *zipf) entry(rng *rand.Rand) uint64 { return scatter(z.draw(rng)) % z.n }
