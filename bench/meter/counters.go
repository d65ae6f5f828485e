package meter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// readCounters asks a program for its metrics.
func readCounters(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return counters(resp.Body)
}

// counters adds up firstseen's counters in Prometheus' text format over their labels. Of a histogram it takes the count.
func counters(r io.Reader) (map[string]float64, error) {
	sums := map[string]float64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, ours := strings.CutPrefix(lines.Text(), "firstseen_")
		if !ours {
			continue
		}
		value := name[strings.LastIndexByte(name, ' ')+1:] // labels may hold spaces
		name = name[:strings.IndexAny(name+" ", "{ ")]
		if !strings.HasSuffix(name, "_total") && !strings.HasSuffix(name, "_count") && name != "store_bytes" {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metric %q: %w", lines.Text(), err)
		}
		sums[name] += n
	}
	return sums, lines.Err()
}
