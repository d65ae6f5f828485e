package processor

import (
	"fmt"
	"strconv"
	"time"
)

// progress tells how far a restore is: in /readyz, in metrics, and every few seconds in the log.
type progress struct {
	l       *lane
	topic   string
	todo    map[int32]*restoring
	total   int64 // offsets to read when it began
	records int   // read since the last look
	read    int   // since it began
	began   time.Time
	logged  time.Time
}

// Between two log lines about a restore.
const progressEvery = 5 * time.Second

func (l *lane) tell(topic string, todo map[int32]*restoring) *progress {
	p := &progress{l: l, topic: topic, todo: todo, began: time.Now(), logged: time.Now()}
	p.total = p.left()
	p.look()
	return p
}

// left is how many offsets are to be read. It is more than there are records: those that were compacted away count.
func (p *progress) left() (all int64) {
	for n, r := range p.todo {
		left := r.barrier + 1 - r.next
		if r.done {
			left = 0
		}
		p.l.w.metrics.restoring.WithLabelValues(string(p.l.stage), strconv.Itoa(int(n))).Set(float64(left))
		all += left
	}
	return all
}

func (p *progress) look() {
	left, done := p.left(), 0
	for _, r := range p.todo {
		if r.done {
			done++
		}
	}
	p.l.w.metrics.restored.WithLabelValues(string(p.l.stage)).Add(float64(p.records))
	p.read, p.records = p.read+p.records, 0
	took := time.Since(p.began)
	text := fmt.Sprintf("restoring from %s: %d of %d partitions, %d %%, %d records read", p.topic, done, len(p.todo),
		100*(p.total-left)/max(1, p.total), p.read)
	if took > time.Second && left < p.total {
		eta := time.Duration(float64(took) * float64(left) / float64(p.total-left))
		p.l.w.metrics.restoreETA.WithLabelValues(string(p.l.stage)).Set(eta.Seconds())
		text += fmt.Sprintf(", %.0f a second, %s to go", float64(p.read)/took.Seconds(), eta.Round(time.Second))
	}
	p.l.w.health.note(p.key(), "lane "+p.l.name+": "+text)
	if time.Since(p.logged) > progressEvery {
		p.logged = time.Now()
		p.l.log.Info(text)
	}
}

func (p *progress) key() string { return "restore " + p.l.name }

func (p *progress) end() {
	p.look()
	p.l.w.metrics.restoreETA.WithLabelValues(string(p.l.stage)).Set(0)
	for n := range p.todo {
		p.l.w.metrics.restoring.WithLabelValues(string(p.l.stage), strconv.Itoa(int(n))).Set(0)
	}
	p.l.w.health.note(p.key(), "")
}
