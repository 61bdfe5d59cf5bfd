package storage

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestReadersThatPausedGoOn has all value readers pause, and go on in an order in which most are woken for nothing: the
// values of one decision leave room for none of them as long as those of the next are as large.
func TestReadersThatPausedGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		const large = valueBytesMax + 1
		e := mustOpen(t, fs, Options{Sync: SyncNever, ValueBytesMax: large, BatchBytesMax: 2 * large})
		if err := e.Put([]byte("large"), bytes.Repeat([]byte("x"), large)); err != nil {
			t.Fatal(err)
		}
		mustPut(t, e, "small", "x")

		keys := []string{"large", "large", "large", "small", "small"}
		read, decide := make([]chan struct{}, len(keys)), make([]chan struct{}, len(keys))
		mutations := make([]*scripted, len(keys))
		for i, key := range keys {
			read[i], decide[i] = make(chan struct{}), make(chan struct{})
			fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Times: 1, Block: read[i]})
			mutations[i] = newScripted(func(cur []Current, w *Writes) error {
				if !cur[0].HasValue {
					return ErrNeedValues
				}
				<-decide[i]
				return nil
			}, key)
			if err := e.Submit(mutations[i]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		// Each time one more has its value before the one before it is decided.
		close(read[0])
		for i := range keys {
			synctest.Wait()
			if i+1 < len(keys) {
				close(read[i+1])
				synctest.Wait()
			}
			close(decide[i])
		}
		for i, m := range mutations {
			if err := <-m.done; err != nil {
				t.Errorf("mutation %d: %v", i, err)
			}
		}
		mustClose(t, e) // waits for the readers
	})
}
