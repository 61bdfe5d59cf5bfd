package workload

import "testing"

func TestBatchJudgesEachItemByItsOwnOutcome(t *testing.T) {
	judgeAll(t, "batch", []judgement{
		{"all there", `
			0 0-9 batch k=a l=b
			1 90-99 reads k=a l=b final`, ""},
		{"an acknowledged item lost", `
			0 0-9 batch k=a l=b
			1 90-99 reads k=a l=- final`, "lost 1"},
		{"also of a batch that failed in part", `
			0 0-9 batch k=a:ok l=b:unknown m=c:failed unknown
			1 90-99 reads k=- l=- m=- final`, "lost 1"},
		{"what was not answered may be there", `
			0 0-9 batch k=a:ok l=b:unknown m=c:unknown unknown
			1 90-99 reads k=a l=b m=- final`, ""},
		{"what failed must not", `
			0 0-9 batch k=a:ok l=b:unknown m=c:failed unknown
			1 90-99 reads k=a l=b m=c final`, "appeared 1"},
		{"a strict read misses one", `
			0 0-9 batch k=a l=b
			1 10-19 reads k=a l=-
			1 90-99 reads k=a l=b final`, "stale 1"},
		{"a later batch deletes", `
			0 0-9 batch k=a l=b
			0 10-19 batch k=c l=-
			1 20-29 reads k=c l=-
			1 90-99 reads k=c l=b final`, "revived 1"},
	})
}

func TestBatchesThatAreThereInPartAreMeasured(t *testing.T) {
	r := (&batch{}).Check(parse(t, `
		0 0-9   batch b/together/1.0=a b/together/1.1=b unknown
		0 10-19 batch b/together/2.0=c b/together/2.1=d unknown
		0 20-29 batch b/together/3.0=e b/together/3.1=f unknown
		0 30-39 batch b/apart/4.0=g b/apart/4.1=h unknown
		0 40-49 batch b/together/5.0=i b/together/5.1=j
		0 50-59 batch b/together/5.0=- b/together/5.1=k unknown
		1 90-99 reads b/together/1.0=a b/together/1.1=- b/together/2.0=c b/together/2.1=d b/together/3.0=- b/together/3.1=- final
		1 90-99 reads b/apart/4.0=g b/apart/4.1=- b/together/5.0=- b/together/5.1=k final`))
	if !r.Passed() || r.Measures["unanswered batches of one partition"] != 4 || r.Measures["torn batches"] != 1 {
		t.Errorf("%+v", r)
	}
}
