package storage

import (
	"runtime/debug"
	"sync"
)

// memoryBytes is the memory that the process may use, by the machine, its control groups and GOMEMLIMIT. It is found once.
var memoryBytes = sync.OnceValue(func() int64 { return min(machineBytes(), debug.SetMemoryLimit(-1)) })
