package devbroker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// brokerLog passes kfake's warnings and errors on, and the rest at debug level. On request it keeps the errors: what goes
// wrong while a cluster closes, kfake logs only.
type brokerLog struct {
	to *slog.Logger

	mu   sync.Mutex
	keep bool
	errs []string
}

// Logf implements kfake.Logger.
func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	at := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
		l.mu.Lock()
		if l.keep {
			l.errs = append(l.errs, fmt.Sprintf(format, args...))
		}
		l.mu.Unlock()
	case kfake.LogLevelWarn:
		at = slog.LevelWarn
	}
	if l.to != nil && l.to.Enabled(context.Background(), at) {
		l.to.Log(context.Background(), at, "embedded broker: "+fmt.Sprintf(format, args...))
	}
}

// keepErrors begins or ends keeping, and returns what was kept.
func (l *brokerLog) keepErrors(keep bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := l.errs
	l.keep, l.errs = keep, nil
	if len(errs) == 0 {
		return nil
	}
	return errors.New("embedded broker: " + strings.Join(slices.Compact(errs), "; "))
}
