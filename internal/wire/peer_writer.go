package wire

// BinFrom writes a byte string of exactly n bytes, which fill appends to the message itself: large values are so copied
// once. fill must append n bytes and return the longer slice, and must not keep it.
func (w *Writer) BinFrom(n int, fill func(dst []byte) []byte) {
	w.length(codeBin8, n)
	w.buf = fill(w.buf)
}
