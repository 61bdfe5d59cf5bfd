package wire

import "github.com/vmihailenco/msgpack/v5"

// rare writes a struct as a map with its JSON names, by the library's reflection: what is asked for rarely needs no code of its own.
func (w *Writer) rare(v any) {
	e := msgpack.NewEncoder((*sink)(w))
	e.UseCompactInts(true)
	e.SetCustomStructTag("json")
	// The sink takes everything, and the structs have plain fields only: there is nothing to fail.
	_ = e.Encode(v)
}

// sink is a Writer as an encoder writes to it.
type sink Writer

func (s *sink) Write(b []byte) (int, error) {
	s.buf = append(s.buf, b...)
	return len(b), nil
}
