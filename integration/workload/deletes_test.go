package workload

import "testing"

func TestDeletesFindsWhatIsRevivedAndWhatIsLost(t *testing.T) {
	judgeAll(t, "deletes", []judgement{
		{"deleted stays deleted", `
			0 0-9   put k=a
			1 10-19 delete k=-
			2 20-29 read k=-
			2 90-99 reads k=- final`, ""},
		{"revived in the end", `
			0 0-9   put k=a
			1 10-19 delete k=-
			2 90-99 reads k=a final`, "revived 1"},
		{"revived in between", `
			0 0-9   put k=a
			1 10-19 delete k=-
			2 20-29 read k=a
			2 90-99 reads k=- final`, "revived 1"},
		{"a put that overlaps the deletion may win", `
			0 0-15  put k=a
			1 10-19 delete k=-
			2 90-99 reads k=a final`, ""},
		{"or lose", `
			0 0-15  put k=a
			1 10-19 delete k=-
			2 90-99 reads k=- final`, ""},
		{"a put that was not answered may show at any time", `
			0 0-9   put k=a unknown
			1 10-19 delete k=-
			2 20-29 read k=-
			2 90-99 reads k=a final`, ""},
		{"and so may an earlier attempt of one that was", `
			0 0-9   put k=a retried
			1 10-19 delete k=-
			2 90-99 reads k=a final`, ""},
		{"a deletion that was not answered may take effect late", `
			0 0-9   put k=a
			1 10-19 delete k=- unknown
			2 20-29 read k=a
			2 90-99 reads k=- final`, ""},
		{"a failed one never", `
			0 0-9   put k=a
			1 10-19 delete k=- failed
			2 90-99 reads k=- final`, "lost 1"},
		{"a deletion with the context of an earlier read spares what came after that read", `
			0 0-9   put k=a
			1 10-19 read k=a after=x
			0 20-29 put k=b
			1 30-39 delete k=- before=x
			2 90-99 reads k=b final`, ""},
		{"or outshines it by its timestamp", `
			0 0-9   put k=a
			1 10-19 read k=a after=x
			0 20-29 put k=b
			1 30-39 delete k=- before=x
			2 90-99 reads k=- final`, ""},
		{"but not what that read saw", `
			0 0-9   put k=a
			1 10-19 read k=a after=x
			1 30-39 delete k=- before=x
			2 90-99 reads k=a final`, "revived 1"},
		{"a context of nobody knows what covers nothing for sure", `
			0 0-9   put k=a
			1 30-39 delete k=- before=y
			2 90-99 reads k=a final`, ""},
		{"an ordered put wins over the deletion before it", `
			0 0-9   delete k=-
			1 10-19 put k=a ordered
			2 90-99 reads k=- final`, "lost 1"},
		{"a plain one of another client need not", `
			0 0-9   delete k=-
			1 10-19 put k=a
			2 90-99 reads k=- final`, ""},
		{"one of the same client does", `
			1 0-9   delete k=-
			1 10-19 put k=a
			2 90-99 reads k=- final`, "lost 1"},
		{"unless the deletion was retried", `
			1 0-9   delete k=- retried
			1 10-19 put k=a
			2 90-99 reads k=- final`, ""},
		{"an older value in place of a newer one", `
			1 0-9   put k=a
			1 10-19 put k=b
			2 20-29 read k=a
			2 90-99 reads k=a final`, "lost 1, stale 1"},
		{"either of two puts by two clients may win, until one is shown", `
			0 0-9   put k=a
			1 10-19 put k=b
			2 20-29 read k=a
			2 30-39 read k=a`, ""},
		{"shown in turn", `
			0 0-9   put k=a
			1 10-19 put k=b
			2 20-29 read k=a
			3 30-39 read k=b
			2 40-49 read k=a`, "went back 2"},
		{"overlapping reads may differ", `
			0 0-30  put k=a
			1 0-30  put k=b
			2 20-29 read k=a
			3 28-39 read k=b
			2 30-35 read k=a`, ""},
		{"gone for a while, with a deletion that might explain it", `
			0 0-9   put k=a
			1 5-19  delete k=- unknown
			2 20-29 read k=-
			3 30-39 read k=a`, "revived 1"},
		{"gone for a while, and nothing explains it", `
			0 0-9   put k=a
			2 20-29 read k=-
			3 30-39 read k=a`, "lost 1"},
		{"absent before the first put", `
			2 0-5   read k=-
			0 6-9   put k=a
			2 10-19 read k=a`, ""},
		{"one key says nothing of another", `
			0 0-9   put k=a
			1 10-19 delete l=-
			2 90-99 reads k=a l=- final`, ""},
		{"a deletion in a weak history is not sure to have seen anything", `
			0 0-9   put k=a weak
			1 10-19 delete k=- weak
			2 90-99 reads k=a final weak`, ""},
		{"but for its own client", `
			1 0-9   put k=a weak
			1 10-19 delete k=- weak
			2 90-99 reads k=a final weak`, "revived 1"},
	})
}
