package schemas

import (
	"strings"

	"firstseen/schemas/internal/times"
	"firstseen/schemas/jsonscan"
)

// s3Names are the names of the columns in JSON, in lower case and without underscores: Panther's, and those of the
// delivery to CloudWatch Logs. Sources: Panther's AWS.S3ServerAccess schema; Amazon S3 User Guide, "Log format in
// CloudWatch Logs".
var s3Names, s3Tree = func() (map[string]Field, *jsonscan.Tree) {
	names := map[string]Field{
		"bucketownerid": fS3Owner, "bucketname": fS3Bucket, "requesttime": fS3Time, "keyname": fS3Key, "referer": fS3Referrer,
		"totaltimems": s3Base + 14, "totaltimemillis": s3Base + 14, "turnaroundtimems": s3Base + 15, "turnaroundtimemillis": s3Base + 15,
		"accesspoint": s3Base + 25,
	}
	for f, info := range fields {
		if info.alias != "" {
			names[strings.ToLower(info.alias)] = Field(f)
		}
	}
	var paths []jsonscan.Path
	for name, f := range names {
		paths = append(paths, jsonscan.Path{Keys: []string{name}, ID: int32(f)})
	}
	return names, jsonscan.NewFoldedTree(paths)
}()

// s3JSON parses raw, a whole JSON object, as an S3 access record and fills the event. It is one if it says where the
// request came from, or which operation it was on which bucket.
func (d *Decoder) s3JSON(raw []byte) (verdict, Reason) {
	if reason := d.parse(s3Tree, raw); reason != "" {
		return isBad, reason
	}
	d.text, d.columns = d.text[:0], columns{}
	found := false
	for _, h := range d.parser.Hits {
		c := &d.columns[h.ID-int32(s3Base)]
		if h.Kind >= jsonscan.Object || *c != nil {
			continue
		}
		found = true
		if *c = present(raw[h.Start:h.End]); *c != nil && !h.Plain {
			*c = d.unquote(*c)
		}
		d.kinds[h.ID-int32(s3Base)] = Kind(h.Kind)
	}
	c := &d.columns
	known := c[4] != nil || c[2] != nil && c[7] != nil || found && d.m.Format == FormatS3Access
	if !known {
		return isNone, ""
	}
	e := d.begin(S3Access, raw)
	millis, ok := times.Parse(c[3])
	if e.Time, e.Flags, ok = d.clock.settle(millis, ok); !ok {
		return isBad, NoTime
	}
	d.fillS3(e)
	return isEvent, ""
}
