package kernels

import (
	"slices"
	"sync"
	"testing"
)

// TestShares holds that every task is taken once, whoever takes part, and that a
// worker begins with its own share.
func TestShares(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		q := NewShares(workers)
		for _, tasks := range []int{1, 2, 7, 8, 9, 100} {
			team := min(workers, tasks)
			q.Deal(tasks, team)
			for w := range team {
				if first := q.Take(w); first != w*tasks/team {
					t.Errorf("%d tasks, %d workers: worker %d begins with %d", tasks, team, w, first)
				}
			}
			q.Deal(tasks, team)
			taken := make([][]int, team)
			var wait sync.WaitGroup
			for w := range team {
				if w == 1 && team > 1 {
					continue // late: the others do its share
				}
				wait.Add(1)
				go func() {
					defer wait.Done()
					for task := q.Take(w); task >= 0; task = q.Take(w) {
						taken[w] = append(taken[w], task)
					}
				}()
			}
			wait.Wait()
			all := slices.Concat(taken...)
			slices.Sort(all)
			for i := range tasks {
				if len(all) != tasks || all[i] != i {
					t.Fatalf("%d tasks, %d workers: taken %v", tasks, team, all)
				}
			}
			if task := q.Take(team - 1); task >= 0 {
				t.Errorf("%d tasks, %d workers: %d is left", tasks, team, task)
			}
		}
	}
}
