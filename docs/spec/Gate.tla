-------------------------------- MODULE Gate --------------------------------
(* The learning gate of ingest (processor/gate.go): no record behind `live`   *)
(* of any source partition makes a candidate before all that is to be learned *)
(* of all partitions is among the candidates. Else an address that is known   *)
(* in a slow partition would be new in a fast one.                            *)
(*                                                                            *)
(* Each source partition has records 1..Last, those up to Live[p] are to be   *)
(* learned. One lane reads each; a lane can crash at any step and its         *)
(* successor begins at the committed offset. What Commit.tla shows is used    *)
(* here: a transaction is decided in one step, and candidates and offset are  *)
(* in it together. Its markers come later, one by one.                        *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
    P,         \* source partitions
    Last,      \* records of each, the first is 1
    Markers,   \* partitions whose last record before live is a marker, which no consumer sees
    Bad,       \* partitions that may be found damaged, and are then in quarantine
    MaxFaults, \* how many faults there may be
    Broken     \* what is broken on purpose: nothing in the protocol as it is

Live == Last - 1 \* records up to here are learned: round.Topics[].Live

VARIABLES
    cand,   \* <app>.candidates: kinds of records in the order of the topic, "open" if not decided
    off,    \* committed offsets, that is records read
    pend,   \* offsets in a decided transaction whose marker is not there yet; 0: none
    tx,     \* the open transaction of each lane: what it read up to, and where its candidate is
    lane,   \* next: records processed (part.next), known: part.committed, ready: lesson.ready
    seen,   \* what each lane found to be learned (lane.past)
    quar,   \* quarantine notes in control
    faults

vars == <<cand, off, pend, tx, lane, seen, quar, faults>>

Fresh(p, at) == [next |-> at, known |-> at, ready |-> FALSE, up |-> TRUE]
NoTx == [to |-> 0, at |-> 0]

Init ==
    /\ cand = <<>> /\ off = [p \in P |-> 0] /\ pend = [p \in P |-> 0]
    /\ tx = [p \in P |-> NoTx]
    /\ lane = [p \in P |-> Fresh(p, 0)]
    /\ seen = [p \in P |-> {}] /\ quar = {} /\ faults = 0

Idle(p)  == lane[p].up /\ tx[p] = NoTx /\ pend[p] = 0

(* A marker is passed over without a record: the next record behind it says   *)
(* so, or lane.onlyMarkers (a reader that keeps control records).             *)
IsMarker(p, i) == p \in Markers /\ i = Live

(* lane.records and part.hold: one record, one candidate with the learn flag; *)
(* what is behind live is left unread until the gate is open.                 *)
Produce(p) ==
    LET i    == lane[p].next + 1
        kind == IF i <= Live THEN "learned" ELSE "live"
    IN /\ Idle(p) /\ i <= Last /\ ~IsMarker(p, i)
       /\ i > Live => lane[p].ready \/ "noGate" \in Broken
       /\ cand' = Append(cand, [kind |-> kind, st |-> "open", p |-> p, i |-> i])
       /\ tx' = [tx EXCEPT ![p] = [to |-> i, at |-> Len(cand) + 1]]
       /\ UNCHANGED <<off, pend, lane, seen, quar, faults>>

(* lane.gate: a partition that stands before a tail of markers goes to live   *)
(* without having read a record, in a transaction of its own, so that the     *)
(* group's offset says so (touch, fence).                                     *)
PassMarker(p) ==
    /\ Idle(p) /\ IsMarker(p, lane[p].next + 1) /\ "noTail" \notin Broken
    /\ tx' = [tx EXCEPT ![p] = [to |-> Live, at |-> 0]]
    /\ UNCHANGED <<cand, off, pend, lane, seen, quar, faults>>

(* EndTxn: committed. The candidate's order in its topic is that of produce.  *)
Commit(p) ==
    /\ lane[p].up /\ tx[p] # NoTx
    /\ cand' = IF tx[p].at = 0 THEN cand ELSE [cand EXCEPT ![tx[p].at].st = "ok"]
    /\ pend' = [pend EXCEPT ![p] = tx[p].to]
    /\ lane' = [lane EXCEPT ![p].next = tx[p].to, ![p].known = tx[p].to]
    /\ tx' = [tx EXCEPT ![p] = NoTx]
    /\ UNCHANGED <<off, seen, quar, faults>>

(* The marker in the group's offsets: a stable OffsetFetch answers again.     *)
MarkOffset(p) ==
    /\ pend[p] # 0
    /\ off' = [off EXCEPT ![p] = pend[p]] /\ pend' = [pend EXCEPT ![p] = 0]
    /\ UNCHANGED <<cand, tx, lane, seen, quar, faults>>

(* lane.unlearned: what stable offsets say now, and what was found before.    *)
(* A mutant believes its own progress and asks for nobody else's commits.     *)
Learned(p, q) ==
    \/ q \in seen[p] \/ q \in quar
    \/ pend[q] = 0 /\ off[q] >= Live
    \/ "ownOnly" \in Broken /\ q # p
    \/ "readNotCommitted" \in Broken /\ (IF tx[q] = NoTx THEN lane[q].next ELSE tx[q].to) >= Live

Ask(p) ==
    /\ Idle(p) /\ ~lane[p].ready /\ lane[p].known >= Live
    /\ LET found == {q \in P : Learned(p, q)}
       IN /\ lane' = [lane EXCEPT ![p].ready = (found = P)]
          /\ seen' = [seen EXCEPT ![p] = found \ quar]
          /\ <<lane', seen'>> # <<lane, seen>>
    /\ UNCHANGED <<cand, off, pend, tx, quar, faults>>

(* A crash, a lost reply or a lost partition: the transaction is aborted if   *)
(* it was not decided, and the successor begins with a stable OffsetFetch.    *)
Crash(p) ==
    /\ lane[p].up /\ faults < MaxFaults /\ faults' = faults + 1
    /\ lane' = [lane EXCEPT ![p] = [Fresh(p, 0) EXCEPT !.up = FALSE]]
    /\ cand' = IF tx[p].at = 0 THEN cand ELSE [cand EXCEPT ![tx[p].at].st = "aborted"]
    /\ tx' = [tx EXCEPT ![p] = NoTx] /\ seen' = [seen EXCEPT ![p] = {}]
    /\ UNCHANGED <<off, pend, quar>>

TakeOver(p) ==
    /\ ~lane[p].up /\ pend[p] = 0 /\ p \notin quar
    /\ lane' = [lane EXCEPT ![p] = Fresh(p, off[p])]
    /\ UNCHANGED <<cand, off, pend, tx, seen, quar, faults>>

(* lane.noteQuarantine: a partition that cannot be read is not waited for.    *)
Quarantine(p) ==
    /\ p \in Bad \ quar /\ ~lane[p].up /\ off[p] < Live
    /\ quar' = quar \cup {p}
    /\ UNCHANGED <<cand, off, pend, tx, lane, seen, faults>>

Progress == \E p \in P : Produce(p) \/ PassMarker(p) \/ Commit(p) \/ MarkOffset(p) \/ Ask(p) \/ TakeOver(p)
Next     == Progress \/ \E p \in P : Crash(p) \/ Quarantine(p)
Spec     == Init /\ [][Next]_vars /\ WF_vars(Progress)

-----------------------------------------------------------------------------
ToLearn(p) == (1..Live) \ {i \in 1..Live : IsMarker(p, i)}

(* Before any candidate of a live record, all candidates of records to be     *)
(* learned are in the topic, committed, once each; those of partitions in     *)
(* quarantine excepted.                                                       *)
LearnedFirst ==
    \A n \in 1..Len(cand) : cand[n].kind = "live" =>
        \A p \in P \ quar : \A i \in ToLearn(p) :
            \E m \in 1..n - 1 : cand[m].p = p /\ cand[m].i = i /\ cand[m].st = "ok"

Once == \A p \in P : \A i \in 1..Last :
            Cardinality({n \in 1..Len(cand) : cand[n].p = p /\ cand[n].i = i /\ cand[n].st = "ok"}) <= 1

(* The gate opens.                                                            *)
Opens == <>(\A p \in P : p \in quar \/ off[p] = Last)
=============================================================================
