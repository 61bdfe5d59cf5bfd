package wire

import (
	"testing"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

func TestTheCodesAreThoseOfTheLibrary(t *testing.T) {
	pairs := []struct {
		ours  byte
		their byte
	}{
		{codePosFixedIntHigh, msgpcode.PosFixedNumHigh}, {codeNegFixedIntLow, msgpcode.NegFixedNumLow},
		{codeNil, msgpcode.Nil}, {codeFalse, msgpcode.False}, {codeTrue, msgpcode.True},
		{codeFloat32, msgpcode.Float}, {codeFloat64, msgpcode.Double},
		{codeUint8, msgpcode.Uint8}, {codeUint16, msgpcode.Uint16}, {codeUint32, msgpcode.Uint32}, {codeUint64, msgpcode.Uint64},
		{codeInt8, msgpcode.Int8}, {codeInt16, msgpcode.Int16}, {codeInt32, msgpcode.Int32}, {codeInt64, msgpcode.Int64},
		{codeFixedStrLow, msgpcode.FixedStrLow}, {codeFixedStrHigh, msgpcode.FixedStrHigh},
		{codeStr8, msgpcode.Str8}, {codeStr16, msgpcode.Str16}, {codeStr32, msgpcode.Str32},
		{codeBin8, msgpcode.Bin8}, {codeBin16, msgpcode.Bin16}, {codeBin32, msgpcode.Bin32},
		{codeFixedArrayLow, msgpcode.FixedArrayLow}, {codeArray16, msgpcode.Array16}, {codeArray32, msgpcode.Array32},
		{codeFixedMapLow, msgpcode.FixedMapLow}, {codeMap16, msgpcode.Map16}, {codeMap32, msgpcode.Map32},
		{codeFixExt1, msgpcode.FixExt1}, {codeFixExt2, msgpcode.FixExt2}, {codeFixExt4, msgpcode.FixExt4},
		{codeFixExt8, msgpcode.FixExt8}, {codeFixExt16, msgpcode.FixExt16},
		{codeExt8, msgpcode.Ext8}, {codeExt16, msgpcode.Ext16}, {codeExt32, msgpcode.Ext32},
	}
	for _, p := range pairs {
		if p.ours != p.their {
			t.Errorf("%#x, the library has %#x", p.ours, p.their)
		}
	}
}

func TestEveryFirstByteButOneHasAKind(t *testing.T) {
	for c := range 256 {
		if none := headers[c].kind == KindNone; none != (c == 0xc1) {
			t.Errorf("%#x: %v", c, headers[c].kind)
		}
		if fixed := msgpcode.IsFixedNum(byte(c)); fixed != (headers[c] == header{kind: KindInt}) {
			t.Errorf("%#x as an integer: %+v", c, headers[c])
		}
		if str := msgpcode.IsString(byte(c)); str != (headers[c].kind == KindStr) {
			t.Errorf("%#x as a string: %+v", c, headers[c])
		}
		if ext := msgpcode.IsExt(byte(c)); ext != (headers[c].kind == KindExt) {
			t.Errorf("%#x as an extension: %+v", c, headers[c])
		}
	}
}
