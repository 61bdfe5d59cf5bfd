package httpgw

import (
	"mime"
	"strconv"
	"strings"
)

// prefers is the media type among those offered that the client would rather have, by its header Accept: the one with the
// greatest weight, of equals the one it names first. The first offer is what it gets if it names none of them.
func (x *exchange) prefers(offers ...string) string {
	best, bestWeight := offers[0], 0.0
	for _, header := range x.r.Header["Accept"] {
		for part := range strings.SplitSeq(header, ",") {
			mediaType, weight := parseAccept(part)
			for _, offer := range offers {
				if mediaType == offer && weight > bestWeight {
					best, bestWeight = offer, weight
				}
			}
		}
	}
	return best
}

// parseAccept reads one element of Accept. A weight that is none is zero: the element is passed over.
func parseAccept(part string) (mediaType string, weight float64) {
	part = strings.TrimSpace(part)
	if !strings.Contains(part, ";") {
		return strings.ToLower(part), 1
	}
	mediaType, attributes, err := mime.ParseMediaType(part)
	if err != nil {
		return "", 0
	}
	weight = 1
	if q, given := attributes["q"]; given {
		weight, _ = strconv.ParseFloat(q, 64)
	}
	return mediaType, weight
}
