package workload

import "testing"

func TestTTLFindsWhatOutlivesItsTime(t *testing.T) {
	judgeAll(t, "ttl", []judgement{
		{"shown, then gone", `
			0 0-9         put k=a ttl=10000
			1 10-19       read k=a
			1 10500-10501 read k=-
			2 90000-90001 reads k=- final`, ""},
		{"shown too long", `
			0 0-9         put k=a ttl=10000
			1 15010-15011 read k=a`, "revived 1"},
		{"shown a little longer", `
			0 0-9         put k=a ttl=10000
			1 15008-15009 read k=a`, ""},
		{"gone too soon", `
			0 0-9       put k=a ttl=10000
			1 4000-4999 read k=-`, "lost 1"},
		{"gone a little sooner", `
			0 0-9       put k=a ttl=10000
			1 4000-5000 read k=-`, ""},
		{"back in the end", `
			0 0-9         put k=a ttl=1000
			2 90000-90001 reads k=a final`, "revived 1"},
		{"what it had overwritten is back", `
			0 0-9         put k=a
			0 10-19       put k=b ttl=1000
			1 5000-5001   read k=a
			2 90000-90001 reads k=a final`, "revived 2"},
		{"what it was to overwrite stays while it is not answered", `
			0 0-9       put k=a
			1 11-18     read k=a
			0 10-19     put k=b ttl=1000`, ""},
		{"gone while it is not answered", `
			0 0-9       put k=a
			0 10-8000   put k=b ttl=1000
			1 7000-7999 read k=-`, ""},
		{"one that failed leaves what was there", `
			0 0-9         put k=a
			0 10-19       put k=b ttl=1000 failed
			2 90000-90001 reads k=- final`, "lost 1"},
		{"one that was not answered explains everything", `
			0 0-9         put k=a
			0 10-19       put k=b ttl=1000 unknown
			1 500-501     read k=-
			1 5000-5001   read k=a
			2 90000-90001 reads k=b final`, ""},
		{"a weak read may miss it", `
			0 0-9   put k=a ttl=10000 weak
			1 10-20 read k=- weak`, ""},
		{"invented and appeared", `
			0 0-9   put k=a ttl=10000 failed
			1 10-20 read k=a
			1 21-22 read k=b`, "appeared 1, invented 1"},
	})
}
