// Package bytesize reads and writes amounts of bytes as people do: "256MiB", "64 KB", "1048576".
//
// A number is followed by nothing or "B" (bytes), by a binary unit (KiB, MiB, GiB, TiB: powers of 1,024) or by a
// decimal one (KB, MB, GB, TB: powers of 1,000), in any case, with or without a space. It knows nothing of fractions:
// no setting needs half a mebibyte, and what Format writes is always exactly what Parse was given.
package bytesize
