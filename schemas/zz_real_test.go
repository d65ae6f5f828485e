package schemas
import ("testing";"os";"path/filepath";"errors";"io";"fmt")
func TestReal(t *testing.T){
	files,_:=filepath.Glob("/tmp/fsinv/*.json")
	d:=NewDecoder(Config{})
	var total Stats
	svc:=0
	for _,f:=range files {
		fh,_:=os.Open(f)
		r:=NewFileReader(fh,f,Bounds{})
		for { m,err:=r.Next(); if errors.Is(err,io.EOF){break}; if err!=nil{t.Fatal(err)}
			m.Now=now
			s:=d.Decode(m, &deadReasons{event: func(e *Event){ if e.Text(Slot(fSourceIP))==nil{svc++}; if e.Flags!=0 {fmt.Println(e.Flags.Names())} }})
			total.Records+=s.Records; total.Events+=s.Events; total.Dead+=s.Dead; total.Skipped+=s.Skipped; total.Bytes+=s.Bytes
		}
		fh.Close()
	}
	fmt.Println(len(files), total, svc)
}
func BenchmarkReal(b *testing.B){
	files,_:=filepath.Glob("/tmp/fsinv/*.json")
	var ms []Message
	for _,f:=range files { v,_:=os.ReadFile(f); ms=append(ms, Message{Value:v,Timestamp:now}) }
	for _, x:= range []struct{n string; f map[Dataset]*Filter}{{"filtered",elasticFilter},{"all",nil}} {
	b.Run(x.n, func(b *testing.B){
	d:=NewDecoder(Config{Filters:x.f})
	n,before:=0,cpuTime()
	var bytes int64
	for b.Loop(){ for _,m:=range ms { s:=d.Decode(m,&nullSink{}); n+=s.Records; bytes+=s.Bytes } }
	b.ReportMetric(float64(cpuTime()-before)/float64(n),"cpu-ns/record")
	b.ReportMetric(float64(bytes)/float64(cpuTime()-before),"GB/s")
	})}
}
