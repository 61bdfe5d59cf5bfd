package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is how a block is compressed. The numbers are part of the format.
type Codec uint8

// The codecs.
const (
	CodecNone Codec = iota
	CodecS2
	CodecLZ4
	CodecGzip
	CodecZstd
)

var codecNames = [...]string{"none", "s2", "lz4", "gzip", "zstd"}

// String is the name that ParseCodec takes.
func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec returns the codec of a name: none, s2, lz4, gzip or zstd.
func ParseCodec(name string) (Codec, error) {
	for i, n := range codecNames {
		if n == name {
			return Codec(i), nil
		}
	}
	return 0, fmt.Errorf("unknown codec %q: have none, s2, lz4, gzip, zstd", name)
}

const (
	// compressBytesMax is the largest block that is compressed, and so the most that a reader decompresses one to.
	compressBytesMax = 32 << 20
	// A block is stored compressed if that saves 1/compressGain of it at least.
	compressGain = 16

	gzipLevel = 5
)

var errCompressed = errors.New("compressed bytes do not decode")

// compressor compresses the blocks of one writer.
type compressor struct {
	codec Codec
	lz4   lz4.Compressor
	gzip  *gzip.Writer
	zstd  *zstd.Encoder
	buf   []byte
}

func newCompressor(c Codec) (z *compressor, err error) {
	z = &compressor{codec: c}
	switch c {
	case CodecNone, CodecS2, CodecLZ4:
	case CodecGzip:
		z.gzip, err = gzip.NewWriterLevel(io.Discard, gzipLevel)
	case CodecZstd:
		z.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	default:
		err = fmt.Errorf("unknown codec %d", uint8(c))
	}
	return z, err
}

// compress returns raw in compressed form, valid until the next call, or ok=false if raw is to be stored as it is.
func (z *compressor) compress(raw []byte) (out []byte, ok bool) {
	if z.codec == CodecNone || len(raw) > compressBytesMax {
		return nil, false
	}
	switch z.codec {
	case CodecS2:
		z.buf = s2.Encode(z.buf[:cap(z.buf)], raw)
	case CodecLZ4:
		z.buf = grow(z.buf, lz4.CompressBlockBound(len(raw)))
		n, err := z.lz4.CompressBlock(raw, z.buf)
		if err != nil || n == 0 {
			return nil, false
		}
		z.buf = z.buf[:n]
	case CodecGzip:
		out := bytes.NewBuffer(z.buf[:0])
		z.gzip.Reset(out)
		_, err := z.gzip.Write(raw)
		if err = errors.Join(err, z.gzip.Close()); err != nil {
			return nil, false
		}
		z.buf = out.Bytes()
	case CodecZstd:
		z.buf = z.zstd.EncodeAll(raw, z.buf[:0])
	}
	return z.buf, len(z.buf) <= len(raw)-len(raw)/compressGain
}

// decompress fills dst with what src decodes to. Anything but exactly len(dst) bytes is an error.
func decompress(c Codec, dst, src []byte) error {
	switch c {
	case CodecS2:
		if n, err := s2.DecodedLen(src); err != nil || n != len(dst) {
			return errCompressed
		}
		out, err := s2.Decode(dst, src)
		return decoded(len(out), len(dst), err)
	case CodecLZ4:
		n, err := lz4.UncompressBlock(src, dst)
		return decoded(n, len(dst), err)
	case CodecGzip:
		return gunzip(dst, src)
	case CodecZstd:
		d, err := newZstdDecoder()
		if err != nil {
			return err
		}
		defer zstdDecoders.Put(d)
		out, err := d.DecodeAll(src, dst[:0:len(dst)])
		return decoded(len(out), len(dst), err)
	}
	return fmt.Errorf("unknown codec %d", uint8(c))
}

func decoded(have, want int, err error) error {
	if err != nil || have != want {
		return errCompressed
	}
	return nil
}

var zstdDecoders sync.Pool

// newZstdDecoder takes a decoder from the pool. None decodes to more than the room that it is given.
func newZstdDecoder() (*zstd.Decoder, error) {
	if d, ok := zstdDecoders.Get().(*zstd.Decoder); ok {
		return d, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(compressBytesMax),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
}

type gzipDecoder struct {
	src bytes.Reader
	gzip.Reader
	end [1]byte
}

var gzipDecoders = sync.Pool{New: func() any { return new(gzipDecoder) }}

func gunzip(dst, src []byte) error {
	d := gzipDecoders.Get().(*gzipDecoder)
	defer gzipDecoders.Put(d)
	d.src.Reset(src)
	if err := d.Reset(&d.src); err != nil {
		return errCompressed
	}
	if _, err := io.ReadFull(d, dst); err != nil {
		return errCompressed
	}
	// The end has to be there: it is behind the checksum.
	if n, err := d.Read(d.end[:]); n != 0 || err != io.EOF {
		return errCompressed
	}
	return nil
}

// grow returns a slice of n bytes, b's own if it has room. Small ones get a power of two, so that buffers settle.
func grow(b []byte, n int) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	size := n
	if n <= 1<<20 {
		for size = 4 << 10; size < n; size *= 2 {
		}
	}
	return make([]byte, n, size)
}
