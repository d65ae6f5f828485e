package main

import (
	"runtime"
	"slices"
	"testing"
)

// The results come in the order of the jobs, whatever takes long, and no worker outlives the last.
func TestOrdered(t *testing.T) {
	jobs := make([]int, 200)
	for i := range jobs {
		jobs[i] = i
	}
	for _, stopAfter := range []int{len(jobs), 7} {
		var got []int
		ordered(jobs, 4, func(j int) int {
			if j%9 == 0 {
				for range 1000 {
					runtime.Gosched() // the others overtake it
				}
			}
			return j * 2
		}, func(j, r int) bool {
			if r != j*2 {
				t.Fatalf("job %d came with the result %d", j, r)
			}
			got = append(got, j)
			return len(got) < stopAfter
		})
		if !slices.Equal(got, jobs[:stopAfter]) {
			t.Errorf("done: %v, want the first %d in order", got, stopAfter)
		}
	}
}
