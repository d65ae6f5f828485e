// Package times reads the times that records and log lines are written with, and writes times as documents have them.
package times

import (
	"bytes"
	"strconv"
	"time"
)

// epochMillis is where Unix times are taken for milliseconds: as seconds it is the year 5138.
const epochMillis = 100_000_000_000

// Parse returns Unix milliseconds. It understands RFC 3339 (also with a space for the T, and then UTC if it has no zone), the time of an S3
// access log in brackets, and Unix seconds or milliseconds.
func Parse(b []byte) (millis int64, ok bool) {
	switch {
	case len(b) >= 19 && b[4] == '-':
		return parseISO(b)
	case len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']':
		return parseLogTime(b[1 : len(b)-1])
	}
	return parseEpoch(b)
}

func parseISO(b []byte) (int64, bool) {
	year, ok1 := digits(b[0:4])
	month, ok2 := digits(b[5:7])
	day, ok3 := digits(b[8:10])
	hour, ok4 := digits(b[11:13])
	minute, ok5 := digits(b[14:16])
	second, ok6 := digits(b[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || b[7] != '-' || b[13] != ':' || b[16] != ':' ||
		(b[10]|0x20 != 't' && b[10] != ' ') {
		return 0, false
	}
	millis, b := fraction(b[19:])
	offset, ok := int64(0), true
	switch {
	case len(b) == 1 && b[0]|0x20 == 'z':
	case len(b) == 6 && b[3] == ':':
		offset, ok = zone(b[0], b[1:3], b[4:6])
	case len(b) == 0: // without a zone it is UTC
	default:
		return 0, false
	}
	t, valid := unix(year, month, day, hour, minute, second)
	return (t-offset)*1000 + millis, ok && valid
}

// fraction cuts a decimal fraction of a second off.
func fraction(b []byte) (millis int64, rest []byte) {
	if len(b) < 2 || (b[0] != '.' && b[0] != ',') {
		return 0, b
	}
	i, scale := 1, int64(100)
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		millis += int64(b[i]-'0') * scale
		scale /= 10
	}
	return millis, b[i:]
}

// parseLogTime parses 02/Jan/2006:15:04:05 -0700.
func parseLogTime(b []byte) (int64, bool) {
	if len(b) != 26 || b[2] != '/' || b[6] != '/' || b[11] != ':' || b[14] != ':' || b[17] != ':' || b[20] != ' ' {
		return 0, false
	}
	day, ok1 := digits(b[0:2])
	year, ok2 := digits(b[7:11])
	hour, ok3 := digits(b[12:14])
	minute, ok4 := digits(b[15:17])
	second, ok5 := digits(b[18:20])
	offset, ok6 := zone(b[21], b[22:24], b[24:26])
	month := bytes.Index([]byte("JanFebMarAprMayJunJulAugSepOctNovDec"), b[3:6])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || month < 0 || month%3 != 0 {
		return 0, false
	}
	t, ok := unix(year, int64(month/3+1), day, hour, minute, second)
	return (t - offset) * 1000, ok
}

func zone(sign byte, hours, minutes []byte) (seconds int64, ok bool) {
	h, ok1 := digits(hours)
	m, ok2 := digits(minutes)
	seconds = h*3600 + m*60
	if sign == '-' {
		seconds = -seconds
	}
	return seconds, ok1 && ok2 && h < 24 && m < 60 && (sign == '-' || sign == '+')
}

func digits(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// unix is time.Date without normalising: a 31st of April is no date. The second of a leap second is.
func unix(year, month, day, hour, minute, second int64) (int64, bool) {
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	length := 30 + (month+month>>3)&1
	if month == 2 {
		length = 28
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			length = 29
		}
	}
	if day > length {
		return 0, false
	}
	// Days since 1970 by the civil calendar, with the year beginning in March.
	if month <= 2 {
		year--
		month += 12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 719469
	return days*86400 + hour*3600 + minute*60 + second, true
}

func parseEpoch(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 32 || b[0]-'0' > 9 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	switch {
	case err != nil || f < 1 || f > 1e15:
		return 0, false
	case f >= epochMillis:
		return int64(f), true
	}
	return int64(f*1000 + 0.5), true
}

// Append appends a time in Unix milliseconds as RFC 3339 in UTC with milliseconds: 2006-01-02T15:04:05.000Z.
func Append(dst []byte, millis int64) []byte {
	t := time.UnixMilli(millis).UTC()
	dst = t.AppendFormat(dst, time.RFC3339) // for which package time has a path of its own
	ms := t.Nanosecond() / 1_000_000
	return append(dst[:len(dst)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}
