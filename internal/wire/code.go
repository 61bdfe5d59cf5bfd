package wire

// The first byte of a MessagePack value. The library has the same numbers, but as variables, which keeps a switch over
// them from becoming a table; a test holds the two together.
const (
	codePosFixedIntHigh = 0x7f
	codeFixedMapLow     = 0x80
	codeFixedArrayLow   = 0x90
	codeFixedStrLow     = 0xa0
	codeFixedStrHigh    = 0xbf
	codeNil             = 0xc0
	codeFalse           = 0xc2
	codeTrue            = 0xc3
	codeBin8            = 0xc4
	codeBin16           = 0xc5
	codeBin32           = 0xc6
	codeExt8            = 0xc7
	codeExt16           = 0xc8
	codeExt32           = 0xc9
	codeFloat32         = 0xca
	codeFloat64         = 0xcb
	codeUint8           = 0xcc
	codeUint16          = 0xcd
	codeUint32          = 0xce
	codeUint64          = 0xcf
	codeInt8            = 0xd0
	codeInt16           = 0xd1
	codeInt32           = 0xd2
	codeInt64           = 0xd3
	codeFixExt1         = 0xd4
	codeFixExt2         = 0xd5
	codeFixExt4         = 0xd6
	codeFixExt8         = 0xd7
	codeFixExt16        = 0xd8
	codeStr8            = 0xd9
	codeStr16           = 0xda
	codeStr32           = 0xdb
	codeArray16         = 0xdc
	codeArray32         = 0xdd
	codeMap16           = 0xde
	codeMap32           = 0xdf
	codeNegFixedIntLow  = 0xe0
)

// Kind is the type of a MessagePack value.
type Kind uint8

// The kinds. KindNone is the end of the message or the one byte that MessagePack never uses.
const (
	KindNone Kind = iota
	KindNil
	KindBool
	KindInt
	KindFloat
	KindStr
	KindBin
	KindArray
	KindMap
	KindExt
)

func (k Kind) String() string {
	return [...]string{
		"nothing", "nil", "a boolean", "an integer", "a float", "a string", "a byte string", "an array", "a map", "an extension",
	}[min(k, KindExt)]
}

// header is what the first byte of a value says about the rest of it.
type header struct {
	kind Kind
	// lengthBytes is the size of the big-endian number that follows and gives the length; 0 where it is in the code.
	lengthBytes uint8
	// fixed is the length where the code gives it, or what is to be added to the number (an extension's type byte):
	// bytes for scalars, strings and extensions, elements for arrays, pairs for maps.
	fixed uint8
}

// headers tells, for each first byte, what follows.
var headers = makeHeaders()

func makeHeaders() (t [256]header) {
	for c := range t {
		switch {
		case c <= codePosFixedIntHigh || c >= codeNegFixedIntLow:
			t[c] = header{kind: KindInt}
		case c < codeFixedArrayLow:
			t[c] = header{kind: KindMap, fixed: uint8(c & 0x0f)}
		case c < codeFixedStrLow:
			t[c] = header{kind: KindArray, fixed: uint8(c & 0x0f)}
		case c <= codeFixedStrHigh:
			t[c] = header{kind: KindStr, fixed: uint8(c & 0x1f)}
		}
	}
	t[codeNil] = header{kind: KindNil}
	t[codeFalse], t[codeTrue] = header{kind: KindBool}, header{kind: KindBool}
	t[codeFloat32], t[codeFloat64] = header{kind: KindFloat, fixed: 4}, header{kind: KindFloat, fixed: 8}
	for i := range 4 {
		t[codeUint8+i] = header{kind: KindInt, fixed: 1 << i}
		t[codeInt8+i] = header{kind: KindInt, fixed: 1 << i}
	}
	for i := range 5 {
		t[codeFixExt1+i] = header{kind: KindExt, fixed: 1 + 1<<i}
	}
	for i := range 3 {
		t[codeBin8+i] = header{kind: KindBin, lengthBytes: 1 << i}
		t[codeStr8+i] = header{kind: KindStr, lengthBytes: 1 << i}
		t[codeExt8+i] = header{kind: KindExt, lengthBytes: 1 << i, fixed: 1}
	}
	for i := range 2 {
		t[codeArray16+i] = header{kind: KindArray, lengthBytes: 2 << i}
		t[codeMap16+i] = header{kind: KindMap, lengthBytes: 2 << i}
	}
	return t
}
