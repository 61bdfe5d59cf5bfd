package replica

import (
	"errors"
	"fmt"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
)

// Stored is what is stored under a key, as it is stored: its vector is without what the stable vector implies, and it is there whether or
// not the partition is filled. meta is what the storage engine's filter would be asked about.
// Errors: storage.ErrNotFound; an unreadable record's, see Unreadable; storage.ErrClosed, *storage.IOError.
func (r *Replica) Stored(key []byte) (o causal.Object, meta []byte, err error) {
	rec, err := r.engine.Read(key, nil)
	if err != nil {
		return o, nil, err
	}
	err = causal.DecodeStored(&o, rec.Meta, rec.Value)
	return o, rec.Meta, err
}

// Unreadable says whether an error of Stored means that nobody can say what the key's record was.
func Unreadable(err error) bool { return isUnreadable(err) }

// EachStored calls fn for every key with the size of its record, from the index alone, and pause after each chunk of them. Keys that cannot
// be read are left out. The key is valid in the call. Errors: those of pause; of the engine, that are not about one key.
func (r *Replica) EachStored(chunk int, pause func() error, fn func(key []byte, bytes int)) error {
	n := 0
	for rec, err := range r.engine.Scan(storage.Range{KeysOnly: true}) {
		var corrupt *storage.CorruptError
		switch {
		case errors.As(err, &corrupt):
			continue
		case err != nil:
			return fmt.Errorf("replica: scan: %w", err)
		}
		fn(rec.Key, rec.Bytes)
		if n++; n%chunk == 0 {
			if err := pause(); err != nil {
				return err
			}
		}
	}
	return nil
}
