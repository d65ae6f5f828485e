package operate

import (
	"fmt"
	"slices"

	"firstseen/cmd/firstseen/internal/cli"
	"firstseen/processor"
	"firstseen/schemas"
)

// DeadLetters is firstseen dlq.
type DeadLetters struct {
	List    listLetters    `cmd:"" help:"Print dead letters: what could not be processed, why, and where it was."`
	Redrive redriveLetters `cmd:"" help:"Write dead letters back to where they were read, once each, to be processed again."`
}

func letterAt(d processor.DeadLetter) string {
	return fmt.Sprintf("%s/%d/%d", d.Record.Topic, d.Record.Partition, d.Record.Offset)
}

// origin is where the record was that the dead letter is about, as explain takes it.
func origin(d processor.DeadLetter) string {
	if d.Topic == "" {
		return letterAt(d)
	}
	place := fmt.Sprintf("%s/%d/%d", d.Topic, d.Partition, d.Offset)
	if d.Index >= 0 {
		place += fmt.Sprintf(" record %d", d.Index)
	}
	return place
}

func knownReason(reason string) error {
	if reason == "" || slices.Contains(schemas.Reasons(), schemas.Reason(reason)) {
		return nil
	}
	return cli.Usage(fmt.Errorf("--reason %s: the reasons are %v", reason, schemas.Reasons()))
}
