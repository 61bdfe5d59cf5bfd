package workload

import "testing"

func TestRegisterFindsWhatIsNotLinearizable(t *testing.T) {
	judgeAll(t, "register", []judgement{
		{"in sequence", `
			0 0-9   put g/one/k=a
			1 5-15  read g/one/k=-
			1 16-19 read g/one/k=a
			0 20-29 put g/one/k=b
			1 25-35 read g/one/k=b
			2 90-99 reads g/one/k=b final`, ""},
		{"a read misses a put", `
			0 0-9   put g/one/k=a
			1 10-15 read g/one/k=-`, "not linearizable 1"},
		{"a read goes back", `
			0 0-9   put g/one/k=a
			0 10-39 put g/one/k=b
			1 15-18 read g/one/k=b
			2 20-25 read g/one/k=a`, "not linearizable 1"},
		{"reads that overlap may differ", `
			0 0-9   put g/one/k=a
			0 10-39 put g/one/k=b
			1 15-22 read g/one/k=b
			2 20-25 read g/one/k=a`, ""},
		{"a put that was not answered shows late", `
			0 0-9   put g/one/k=a
			0 10-19 put g/one/k=b unknown
			1 20-25 read g/one/k=a
			1 30-35 read g/one/k=b
			2 90-99 reads g/one/k=b final`, ""},
		{"but not once more", `
			0 0-9   put g/one/k=a
			0 10-19 put g/one/k=b unknown
			1 30-35 read g/one/k=b
			1 40-45 read g/one/k=a`, "not linearizable 1"},
		{"a failed put never shows", `
			0 0-9   put g/one/k=a
			0 10-19 put g/one/k=b failed
			2 90-99 reads g/one/k=b final`, "not linearizable 1"},
		{"one that was retried may show again", `
			0 0-9   put g/one/k=a retried
			0 10-19 put g/one/k=b
			1 20-25 read g/one/k=b
			1 30-35 read g/one/k=a`, ""},
		{"lost in the end", `
			0 0-9   put g/one/k=a
			2 90-99 reads g/one/k=- final`, "not linearizable 1"},
		{"weak reads are measured only", `
			0 0-9   put g/one/k=a weak
			1 10-15 read g/one/k=- weak`, ""},
		{"and so are keys with many writers", `
			0 0-9   put g/all/k=a
			1 10-19 put g/all/k=b
			2 20-25 read g/all/k=a`, ""},
		{"unread", `
			0 0-9   put g/one/k=a
			2 90-99 reads g/one/k= failed final`, "unread 1"},
	})
}

func TestRegisterMeasuresHowFarConcurrentPutsAreFromLinearizable(t *testing.T) {
	r := newRegister().Check(parse(t, `
		0 0-9   put g/all/k=a
		1 10-19 put g/all/k=b
		2 20-25 read g/all/k=a
		2 59-60 read g/all/k=a
		0 0-9   put g/all/l=a
		1 5-19  put g/all/l=b
		2 20-25 read g/all/l=a`))
	for measure, want := range map[string]float64{
		"keys with many writers": 2, "keys with many writers linearizable": 1, "reads with many writers": 3,
		"reads behind with many writers": 2, "longest behind with many writers ms": 40,
	} {
		if r.Measures[measure] != want {
			t.Errorf("%s: %v, want %v", measure, r.Measures[measure], want)
		}
	}
}
