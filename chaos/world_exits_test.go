package main

import (
	"slices"
	"testing"
)

// What workers wrote behind their first line, and what they said at the end.
const (
	serving  = `time=2026-11-23T08:58:04.075Z level=INFO msg="serving health and metrics" address=127.0.0.1:23147` + "\n"
	tookOver = serving + `time=2026-11-23T08:57:03.604Z level=INFO msg="took over partitions" lane=chaos-7-group-w3-0 opened=2 quarantined=0 took=180ms` + "\n"

	fenced    = "firstseen: cannot reach Kafka: fence chaos-7-ingest-w2-0: unable to initialize a producer ID due to request failures: unable to dial: dial tcp 127.0.0.1:44379: connection refused\n"
	described = "firstseen: cannot reach Kafka: describe topic settings: request DescribeConfigs has 1 separate shard errors, first: broker closed the connection immediately during api versions negotiation\n"
	inDoubt   = "firstseen: cannot reach Kafka: lane chaos-7-detect-w1-0 stopped without knowing what became of its last transaction (session ended: the outcome of a transaction is unknown: context canceled; to end it: context deadline exceeded): if it is open, the next start of instance \"w1\" ends it\n"
	silent    = "firstseen: cannot reach Kafka: the brokers have not answered for 4.5s since the stop, and are not waited for: open transactions are ended by the next start\n"
	turned    = "firstseen: lane chaos-7-detect-w1-0: unexpected EOF\n"
	full      = "firstseen: state /w3: write /w3/store/000002.log: write /w3/store/000002.log: no space left on device\n"
	opened    = "firstseen: cannot guarantee exactly-once processing: open the state directory: open state /w3: error opening database at \"/w3/store\": write /w3/store/marker: no space left on device\n"
	denied    = "firstseen: cannot reach Kafka: write \"worker/w1\" to chaos-7.control: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics\n"
	panicked  = "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\n"
)

// An exit is excused only where a worker may end so: of silent brokers at its start and in a stop, not at work.
func TestExits(t *testing.T) {
	for name, test := range map[string]struct {
		log     string
		asked   bool
		faults  []string // at work
		phase   phase
		excused string
	}{
		"a broker is away at the start":              {serving + fenced, false, []string{"broker"}, starting, "with brokers out of reach"},
		"a broker is killed while topics are read":   {serving + described, false, []string{"group-coordinator"}, starting, "with brokers out of reach"},
		"nothing is wrong at the start":              {serving + fenced, false, nil, starting, ""},
		"only a worker was killed":                   {serving + fenced, false, []string{"kill", "zombie", "disk-full"}, starting, ""},
		"it ends when a broker is killed":            {tookOver + fenced, false, []string{"broker"}, working, ""},
		"it ends when an answer is cut":              {tookOver + turned, false, []string{"cut", "delay", "partition"}, working, ""},
		"a broker is away in a stop":                 {tookOver + silent, true, []string{"broker"}, stopping, "with brokers out of reach"},
		"a stop times out, but nothing is wrong":     {tookOver + silent, true, nil, stopping, ""},
		"a stop ends in doubt":                       {tookOver + inDoubt, true, nil, stopping, "in doubt about a transaction"},
		"in doubt, and nobody had asked for a stop":  {tookOver + inDoubt, false, []string{"broker"}, working, ""},
		"the disk is full":                           {tookOver + full, false, []string{"disk-full"}, working, "with a full disk"},
		"the disk is full and a lane ends in doubt":  {tookOver + inDoubt, false, []string{"disk-full"}, working, "with a full disk"},
		"the disk is full still":                     {serving + opened, false, []string{"disk-full"}, starting, "with a full disk"},
		"the disk is full and nobody has filled it":  {tookOver + full, false, []string{"broker"}, working, ""},
		"not authorised at the start":                {serving + denied, false, []string{"acl"}, starting, "without authorisation"},
		"not authorised at work":                     {tookOver + denied, false, []string{"acl"}, working, ""},
		"a panic":                                    {tookOver + panicked, false, []string{"broker", "disk-full", "acl"}, working, ""},
		"it says nothing":                            {"", false, []string{"broker", "disk-full", "acl"}, starting, ""},
		"a broker that is away has nothing to do it": {serving + "firstseen: brokers is not set\n", false, []string{"broker"}, starting, ""},
	} {
		t.Run(name, func(t *testing.T) {
			when := howFar(test.log, test.asked)
			got, ok := explain(exits, lastWords(test.log), when, func(kinds ...string) bool {
				return slices.ContainsFunc(test.faults, func(f string) bool { return slices.Contains(kinds, f) })
			})
			if when != test.phase || got != test.excused || ok != (test.excused != "") {
				t.Errorf("while %s: excused %v, %q; want while %s, %q", when, ok, got, test.phase, test.excused)
			}
		})
	}
}

// TestNoteExits: what was excused, and what no fault explains, is known to a start that goes on.
func TestNoteExits(t *testing.T) {
	w := everything(t, 1)
	w.traffic = &generator{}
	if !w.report(0, nil, verdict{StoresEqual: true}) {
		t.Error("a run without a finding is called wrong")
	}
	w.excused.add("with a full disk while working")
	w.findings.add("w1 ended by itself")
	for range 2 { // the second time there is nothing new
		if err := w.noteExits(); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for _, e := range w.journal.all() {
		if e.Finding == "w1 ended by itself" {
			found++
		}
	}
	if _, shows := w.journal.total("exit"); found != 1 || shows["with a full disk while working"] != 1 {
		t.Errorf("found %d times, excused %v", found, shows)
	}
	if w.report(0, nil, verdict{StoresEqual: true}) {
		t.Error("a run with a finding is called right")
	}
}
