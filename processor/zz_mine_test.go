package processor

import "testing"

func TestBadInput(t *testing.T)          { badInput(t, embedded(t)) }
func TestMessageAtTheLimit(t *testing.T) { atTheLimit(t, embedded(t)) }
func TestRejectedOutput(t *testing.T)    { rejectedOutput(t, embedded(t)) }
func TestOffsetsReset(t *testing.T)      { offsetsReset(t, embedded(t)) }
func TestUseCommitted(t *testing.T)      { useCommitted(t, embedded(t)) }
func TestOffsetsGone(t *testing.T)       { offsetsGone(t, embedded(t)) }
func TestStartTogether(t *testing.T)     { startTogether(t, embedded(t)) }
