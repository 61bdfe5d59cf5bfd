// Package records reads and writes keys and values as JSON Lines: what `ringcask load` takes, `ringcask dump` and
// `ringcask scan -o json` give, and what `ringcask batch` is told.
//
// # Format
//
// Each line is one JSON object whose members are all strings:
//
//	{"key":"debian/bookworm/0ad","value":"…"}                 a record
//	{"key_base64":"/wA=","value_base64":"AAEC"}               a record whose bytes are not UTF-8
//	{"type":"put","key":"a","value":"1"}                      an operation of a batch
//	{"type":"delete","key":"b"}                               another
//
// Base64 is the standard alphabet with padding. Empty lines are skipped; line ends may be LF or CRLF; a byte order mark
// before the first line is skipped. Input may be compressed with gzip, which is recognised by its first two bytes.
//
// # Strictness
//
// Bytes must come back as they were, so the decoder refuses what encoding/json repairs in silence: strings that are
// not UTF-8, halves of surrogate pairs, members that it does not know or that come twice, names in another case. A
// line is bounded in length; a longer one is skipped without being held in memory. A bad line is a *LineError with
// its number, after which reading can go on.
package records
