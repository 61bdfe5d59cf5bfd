# Pairs two runs of a benchmark, round by round: mean difference of a metric in per cent of the first, with a 95 % interval.
#
#   awk -v metric=cpu-ns/op -f paired.awk before-1 after-1 before-2 after-2 …
#
# Files come in pairs: the first of each is what the second is compared with. A difference is that of logarithms, so that it
# is the same whichever side is the first. Where the interval has no zero in it there is an asterisk.

FNR == 1 { file++ }

/^Benchmark/ {
	name = $1
	sub(/-[0-9]+$/, "", name)
	for (i = 3; i < NF; i += 2)
		if ($(i + 1) == metric && $i > 0) value[name, file] = $i
	if (!(name in seen)) { seen[name] = 1; order[++rows] = name }
}

# t is the 97.5th percentile of Student's distribution with df degrees of freedom, to a hundredth from 3 on.
function t(df) { return 1.96 + 2.4 / df + 2.7 / (df * df) + 4.9 / (df * df * df) }

END {
	for (r = 1; r <= rows; r++) {
		n = 0; sum = 0; squares = 0; first = 0; second = 0
		for (f = 1; f < file; f += 2) {
			if (!((order[r], f) in value) || !((order[r], f + 1) in value)) continue
			d = log(value[order[r], f + 1] / value[order[r], f])
			n++; sum += d; squares += d * d
			first += value[order[r], f]; second += value[order[r], f + 1]
		}
		if (n < 2) continue
		mean = sum / n
		half = t(n - 1) * sqrt((squares - n * mean * mean) / (n - 1) / n)
		printf "%-44s %d pairs  %12.5g %12.5g  %+6.1f %% [%+.1f, %+.1f]%s\n", order[r], n, first / n, second / n,
			100 * (exp(mean) - 1), 100 * (exp(mean - half) - 1), 100 * (exp(mean + half) - 1), (mean > half || -mean > half) ? " *" : ""
	}
}
