package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
)

// Guard is the command guard.
func Guard(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("guard", flag.ExitOnError)
	o := &options{}
	o.flags(fs)
	base := fs.String("base", "", "revision to compare with")
	allowed := fs.Float64("percent", 10, "so much dearer may the new build be")
	_ = fs.Parse(args) // exits on errors
	if *base == "" {
		return errors.New("guard needs -base, a revision of the repository")
	}
	s, cfg, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	oldBin, newBin := s.path("firstseen-base"), s.path("firstseen")
	if err := buildRevision(ctx, s.root, *base, oldBin); err != nil {
		return err
	}
	if o.bin != "" {
		newBin = o.bin
	} else if err := buildProduct(ctx, s.root, newBin); err != nil {
		return err
	}
	if err := s.load(ctx, cfg); err != nil {
		return err
	}
	if o.size != "smoke" { // see table.warm
		if err := (&column{contender: product(*base, oldBin, "")}).measureRate(ctx, s, "warming the broker, not counted"); err != nil {
			return err
		}
	}
	before, after := &column{contender: product(*base, oldBin, "")}, &column{contender: product("new", newBin, "")}
	for round := range o.rounds {
		pair := []*column{before, after}
		if round%2 == 1 {
			slices.Reverse(pair)
		}
		for _, c := range pair {
			if err := c.measureRate(ctx, s, fmt.Sprintf("round %d, %s", round+1, c.name)); err != nil {
				return err
			}
		}
	}
	a, marked := metered(before.rate, cpuPerMillion)
	b, too := metered(after.rate, cpuPerMillion)
	fmt.Printf("\nCPU-s per million records: %s at %s, new %s\n", cell(a, "%.2f", marked), *base, cell(b, "%.2f", too))
	fmt.Printf("ratio %s\n", b.per(a).text("%.3f"))
	if wrong := append(before.wrong(), after.wrong()...); len(wrong) > 0 {
		return fmt.Errorf("there are wrong answers: %v", wrong)
	}
	if dearer(a, b, *allowed) {
		return fmt.Errorf("the new build is more than %g %% dearer than %s", *allowed, *base)
	}
	return nil
}

// dearer says whether the new build costs more than is allowed, and not for chance: every one of its runs cost more than
// any of the old build's, and the median of the ratios is over the bound.
func dearer(before, after figures, percent float64) bool {
	return after.per(before).median() > 1+percent/100 && slices.Min(after) > slices.Max(before)
}
