package processor

import "testing"

func TestBadInput(t *testing.T)          { badInput(t, embedded(t)) }
func TestMessageAtTheLimit(t *testing.T) { atTheLimit(t, embedded(t)) }
func TestRejectedOutput(t *testing.T)    { rejectedOutput(t, embedded(t)) }
