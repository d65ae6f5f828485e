package scan

import (
	"fmt"
	"io"
	"strings"
	"time"

	"firstseen/cmd/firstseen/internal/show"
)

// summary says what a scan has met and made.
func (s *scan) summary(w io.Writer, files int, took time.Duration) {
	c := s.pipeline.Counts()
	st := s.stats
	took = max(took.Round(time.Millisecond), time.Millisecond)
	rate := func(n int64) int64 { return int64(float64(n) / took.Seconds()) }
	fmt.Fprintf(w, "%s in %s and %s, %s: %s and %s a second\n", show.Plural(int64(st.Records), "record"), show.Plural(int64(files), "file"), show.Size(st.Bytes),
		took, show.Plural(rate(int64(st.Records)), "record"), show.Size(rate(st.Bytes)))
	fmt.Fprintf(w, "  events      %s, of which %s matched a rule\n", show.Grouped(int64(st.Events)), show.Grouped(s.matches))
	fmt.Fprintf(w, "  filtered    %s\n", show.Grouped(int64(st.Filtered)))
	fmt.Fprintf(w, "  skipped     %s\n", show.Grouped(int64(st.Skipped)))
	fmt.Fprintf(w, "  dead        %s\n", s.dead.String())
	fmt.Fprintf(w, "  candidates  %s, of which %s were new\n", show.Grouped(c.Detect.Candidates), show.Grouped(c.Detect.Findings))
	fmt.Fprintf(w, "  alerts      %s%s\n", show.Grouped(c.Group.Alerts), note(c.Group.Overflows, "for a cap that was reached"))
	fmt.Fprintf(w, "  suppressed  %s%s\n", show.Grouped(c.Group.SuppressedByCap+c.Group.SuppressedByShadow), s.whySuppressed())
	fmt.Fprintf(w, "  windows     %s closed with more matches than their alerts said\n", show.Grouped(c.Group.Closed))
}

// note is what there is besides, if there is.
func note(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %s %s", show.Grouped(n), what)
}

func (s *scan) whySuppressed() string {
	c := s.pipeline.Counts().Group
	var why []string
	if c.SuppressedByCap > 0 {
		why = append(why, "cap "+show.Grouped(c.SuppressedByCap))
	}
	if c.SuppressedByShadow > 0 {
		why = append(why, "shadow "+show.Grouped(c.SuppressedByShadow))
	}
	if len(why) == 0 {
		return ""
	}
	where := "; --suppressed FILE keeps them"
	if s.suppressed != nil {
		where = "; they are in " + s.suppressed.Name
	}
	return ": " + strings.Join(why, ", ") + where
}
