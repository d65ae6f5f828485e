package schemas
import ("testing";"math/rand/v2";"fmt")
func TestDbg(t *testing.T){
	random := make([]byte, 4096)
	for i, r := 0, rand.NewPCG(1, 2); i < len(random); i++ { random[i] = byte(r.Uint64()) }
	d:=NewDecoder(Config{})
	d.Decode(Message{Value:random,Timestamp:now}, &dbg{})
}
type dbg struct{}
func (dbg) Event(*Event){}
func (dbg) Dead(l DeadLetter){ fmt.Printf("%q %s %s len %d\n", l.Value[:min(len(l.Value),60)], l.Reason,l.Detail, len(l.Value)) }
